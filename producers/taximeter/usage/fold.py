"""Folds the documents of a body, one or many, into what they state together. Keeps counters, never documents."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from taximeter.usage.counts import UNREADABLE, counted_as
from taximeter.usage.extract import Stated, extract
from taximeter.usage.normal import Whose, usage_of
from taximeter.usage.path import Path, find
from taximeter.usage.providers import Route
from taximeter.usage.result import Usage
from taximeter.usage.table import Shape, table
from taximeter_schemas.service_tier import service_tier_of
from taximeter_schemas.words import UsageType

_LONGEST_NAME = 256


class Fold:
    """What was stated so far."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._stated: dict[str, Stated] = {}
        self._model = ""
        self._response_id = ""
        self._service_tier = ""
        self._embedding = False
        self._images: int | None = None
        self.documents = 0

    def add(self, text: bytes) -> None:
        """Take one document. What is no JSON is tallied and left out."""
        try:
            document = json.loads(text.decode("utf-8-sig", "replace"))
        except (ValueError, RecursionError):
            UNREADABLE.add()
            return
        for item in document if isinstance(document, list) else (document,):
            if isinstance(item, dict):
                self._take(item)

    def _take(self, document: Mapping[str, object]) -> None:
        if document.get("object") in table().silent_objects:
            return
        self.documents += 1
        self._model = self._model or _name(document, table().models)
        self._response_id = self._response_id or _name(document, table().response_ids)
        # A stream begins with the tier that was asked for and ends with the one that served.
        self._service_tier = service_tier_of(_name(document, table().service_tiers)) or self._service_tier
        self._embedding = self._embedding or any(find(document, mark) for mark in table().embedding_marks)
        if self._route.usage_type == UsageType.IMAGE and isinstance(made := document.get("data"), list):
            self._images = len(made)
        for shape, root in self._fitting(document):
            stated = extract(shape, document, root)
            known = self._stated.setdefault(shape.name, stated)
            if known is not stated:
                known.add(stated)

    def _fitting(self, document: Mapping[str, object]) -> Iterator[tuple[Shape, Path]]:
        """The first shape that fits, and each spare one."""
        taken = False
        for shape in table().shapes:
            if (taken and not shape.spare) or not self._allowed(shape, document):
                continue
            for root in shape.roots:
                holder = find(document, root)
                if isinstance(holder, dict) and any(find(holder, sign) is not None for sign in shape.signs):
                    taken = taken or not shape.spare
                    yield shape, root
                    break

    def _allowed(self, shape: Shape, document: Mapping[str, object]) -> bool:
        """What an unknown host states must stand in an answer's company; its `usage` may be anything else's."""
        if shape.only is not None and shape.only != self._route.usage_type:
            return False
        return self._route.known or (not shape.known and (not shape.near or not shape.near.isdisjoint(document)))

    def usage(self, headers: Mapping[str, str], streamed: bool, complete: bool) -> Usage | None:
        """What all documents and the headers state together, or None where they state no use."""
        stated = self._together(headers)
        if stated is None:
            return None
        if self._images is not None:
            stated.counts.setdefault("images", self._images)
        request_id = headers.get(table().headers["response_id"].get(self._route.provider, ""), "")
        tier = self._service_tier or service_tier_of(headers.get(table().headers["service_tier"], ""))
        kind = UsageType.EMBEDDING if self._embedding else UsageType.TEXT
        whose = Whose(
            provider=self._route.provider or stated.shape.provider or "unknown",
            model=self._model or self._route.model,
            usage_type=self._route.usage_type or kind.value,
            response_id=self._response_id or request_id,
            service_tier=tier,
        )
        return usage_of(stated, whose, streamed, complete)

    def _together(self, headers: Mapping[str, str]) -> Stated | None:
        """The best shape's statement; what it leaves open is filled in from the spare ones and from the headers."""
        found = [self._stated[shape.name] for shape in table().shapes if shape.name in self._stated]
        spare = next(shape for shape in table().shapes if shape.spare)
        found.append(Stated(spare, _header_counts(headers)))
        found = [stated for stated in found if stated.counts or stated.details or stated.audio_ms or stated.cost]
        if not found:
            return None
        best = found[0]
        for other in found[1:]:
            if other.shape.spare:
                _fill(best, other)
        return best


def _fill(best: Stated, other: Stated) -> None:
    """Input is filled only where nothing of it is stated, because the two may differ in what input includes."""
    best.final = best.final or other.final
    for name in ("input_tokens", "output_tokens"):
        if name not in best.unread and name in other.counts:
            best.counts.setdefault(name, other.counts[name])


def _header_counts(headers: Mapping[str, str]) -> dict[str, int]:
    names = {name: key for name, key in table().headers.items() if name.endswith("_tokens")}
    given = {name: headers.get(key, "") for name, key in names.items()}
    counts = {name: int(text) for name, text in given.items() if text.isascii() and text.isdigit() and len(text) < 16}
    return {name: count for name, count in counts.items() if counted_as(count) is not None}


def _name(document: Mapping[str, object], paths: tuple[Path, ...]) -> str:
    for steps in paths:
        found = find(document, steps)
        if isinstance(found, str) and found:
            return found[:_LONGEST_NAME]
    return ""
