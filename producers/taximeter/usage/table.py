"""The table of providers (`providers.json`), compiled once at first use.

What a provider's answer looks like is data: hosts say whose it is, paths say what kind of call it was, shapes say which
words of the body are which of our counters. `shapes` stand in order of precedence: the first that fits a body wins.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from taximeter.usage.path import Path, path

_OTHER_WORDS = ("message-start",)
"""Cohere's streams name their response in this event alone."""

Sums = tuple[tuple[Path, ...], ...]
"""Candidates in order; each is a sum of paths."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One way in which bodies state use. `roots` lead to the object that states it; the other paths start there,
    but for `near`, `last` and `beside` (tools that a model of their own serves), which start at the document.
    """

    name: str
    roots: tuple[Path, ...]
    signs: tuple[Path, ...]
    near: frozenset[str]
    counts: Mapping[str, Sums]
    details: Mapping[str, Sums]
    adds: Mapping[str, Sequence[str]]
    seconds: tuple[Path, ...]
    cost: tuple[Path, ...]
    cost_ticks: tuple[Path, ...]
    last: tuple[tuple[bool, Path], ...]
    apart_providers: frozenset[str]
    apart_models: tuple[str, ...]
    apart_always: tuple[tuple[str, str], ...]
    restates: bool
    further: Path | None
    beside: tuple[tuple[Path, Path], ...]
    only: str | None
    known: bool
    spare: bool
    provider: str | None


@dataclass(frozen=True, slots=True)
class Host:
    """Which hosts are a provider's."""

    provider: str
    names: frozenset[str]
    ends: tuple[str, ...]
    like: re.Pattern[str] | None
    port: int | None
    within: str


@dataclass(frozen=True, slots=True)
class PathRule:
    """What a request path tells. A silent one never states use: it counts, lists or stores."""

    like: re.Pattern[str]
    silent: bool
    model: int | None
    usage_type: str | None


@dataclass(frozen=True, slots=True)
class Table:
    """All of it. `bears` tells whether bytes may state use."""

    hosts: tuple[Host, ...]
    paths: tuple[PathRule, ...]
    likely: tuple[tuple[re.Pattern[str], str], ...]
    shapes: tuple[Shape, ...]
    models: tuple[Path, ...]
    response_ids: tuple[Path, ...]
    service_tiers: tuple[Path, ...]
    embedding_marks: tuple[Path, ...]
    silent_objects: frozenset[str]
    headers: Mapping[str, Any]
    words: tuple[bytes, ...]
    telltale: re.Pattern[bytes]

    def bears(self, text: bytes) -> bool:
        """Whether bytes may state use. The plain search for words is fast and passes over nearly all of a stream."""
        for word in self.words:  # a loop, because this runs on each chunk and a generator costs twice as much
            if word in text:
                return self.telltale.search(text) is not None
        return False


@cache
def table() -> Table:
    """The table, read from the package at first use."""
    raw = json.loads(resources.files("taximeter.usage").joinpath("providers.json").read_text("utf-8"))
    shapes = tuple(_shape(entry) for entry in raw["shapes"])
    return Table(
        hosts=tuple(_host(entry) for entry in raw["hosts"]),
        paths=tuple(_path_rule(entry) for entry in raw["paths"]),
        likely=tuple((re.compile(entry["like"]), entry["provider"]) for entry in raw["likely"]),
        shapes=shapes,
        models=_paths(raw["identity"]["model"]),
        response_ids=_paths(raw["identity"]["response_id"]),
        service_tiers=_paths(raw["identity"]["service_tier"]),
        embedding_marks=_paths(raw["embedding_marks"]),
        silent_objects=frozenset(raw["silent_objects"]),
        headers=raw["headers"],
        words=_words(shapes),
        telltale=_telltale(shapes),
    )


def _words(shapes: Sequence[Shape]) -> tuple[bytes, ...]:
    """The fewest beginnings of keys of which every body bears one that states use."""
    keys = sorted({*_object_keys(shapes), *_value_keys(shapes), *_OTHER_WORDS})
    return tuple(f'"{key}'.encode() for key in keys if not any(key != one and key.startswith(one) for one in keys))


def _telltale(shapes: Sequence[Shape]) -> re.Pattern[bytes]:
    """The keys with a value. A usage that is null is passed over: many streams repeat it in every event."""
    either = "|".join(rf'"{re.escape(key)}"\s*:\s*\{{' for key in sorted(_object_keys(shapes)))
    plain = "|".join(rf'"{re.escape(key)}"\s*:\s*[^n\s]' for key in sorted(_value_keys(shapes)))
    other = "|".join(f'"{word}"' for word in _OTHER_WORDS)
    return re.compile(f"{either}|{plain}|{other}".encode())


def _object_keys(shapes: Sequence[Shape]) -> set[str]:
    return {root[-1] for shape in shapes for root in shape.roots if root}


def _value_keys(shapes: Sequence[Shape]) -> set[str]:
    return {sign[0] for shape in shapes for sign in shape.signs if () in shape.roots}


def _paths(texts: Sequence[str]) -> tuple[Path, ...]:
    return tuple(path(text) for text in texts)


def _sums(entry: Mapping[str, Sequence[str]]) -> Mapping[str, Sums]:
    return {name: tuple(_paths(text.split(" + ")) for text in texts) for name, texts in entry.items()}


def _shape(entry: Mapping[str, Any]) -> Shape:
    apart = entry.get("reasoning_apart", {})
    return Shape(
        name=entry["name"],
        roots=_paths(entry["roots"]),
        signs=_paths(entry["signs"]),
        near=frozenset(entry.get("near", ())),
        counts=_sums(entry["counts"]),
        details=_sums(entry.get("details", {})),
        adds=entry.get("adds", {}),
        seconds=_paths(entry.get("seconds", ())),
        cost=_paths(entry.get("cost", ())),
        cost_ticks=_paths(entry.get("cost_ticks", ())),
        last=tuple((not text.startswith("!"), path(text.lstrip("!"))) for text in entry.get("last", ())),
        apart_providers=frozenset(apart.get("providers", ())),
        apart_models=tuple(apart.get("models", ())),
        apart_always=tuple((provider, model) for provider, model in apart.get("always", ())),
        restates=entry.get("restates", False),
        further=path(entry["further"]) if "further" in entry else None,
        beside=tuple((path(used), path(model)) for used, model in entry.get("beside", ())),
        only=entry.get("only"),
        known=entry.get("known", False),
        spare=entry.get("spare", False),
        provider=entry.get("provider"),
    )


def _host(entry: Mapping[str, Any]) -> Host:
    like = entry.get("like")
    return Host(
        provider=entry["provider"],
        names=frozenset(entry["is"]),
        ends=tuple(entry.get("ends", ())),
        like=re.compile(like) if like else None,
        port=entry.get("port"),
        within=entry.get("path", ""),
    )


def _path_rule(entry: Mapping[str, Any]) -> PathRule:
    return PathRule(
        like=re.compile(entry["like"]),
        silent=entry.get("silent", False),
        model=entry.get("model"),
        usage_type=entry.get("usage_type"),
    )
