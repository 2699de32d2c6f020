"""Takes from one document what one shape finds in it: plain counters by name, not normalised yet. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from taximeter.usage.counts import UNREADABLE, counted_as, dollars, milliseconds
from taximeter.usage.path import Path, find, find_all
from taximeter.usage.table import Shape, Sums

_TICKS = Decimal(10**10)
"""xAI states cost in parts of a US dollar. Those who resell its models leave it at zero, which states nothing."""

IMAGE_TOOL = "image_generation"
"""The tool of the responses API that a model of images serves, and that model's name where it is not stated."""


@dataclass(slots=True)
class Stated:
    """What documents of one shape stated so far. `unread` names the counters whose value is no count."""

    shape: Shape
    counts: dict[str, int] = field(default_factory=dict)
    details: dict[str, int] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    audio_ms: int | None = None
    cost: Decimal | None = None
    further: list[object] = field(default_factory=list)
    final: bool = False

    def add(self, later: Stated) -> None:
        """Take what a later document of the same stream states. Streams state running sums, so the later one counts.

        An event that states the input states the rest anew, zeros too; in any other a zero is a part left empty. Where
        the shape restates, such an event stands alone.
        """
        anew = bool(later.counts.get("input_tokens"))
        if anew and self.shape.restates:
            self.counts.clear()
            self.details.clear()
        for mine, theirs in ((self.counts, later.counts), (self.details, later.details)):
            for name, value in theirs.items():
                if value or anew or not mine.get(name):
                    mine[name] = value
        self.unread |= later.unread
        self.audio_ms = self.audio_ms if later.audio_ms is None else later.audio_ms
        self.cost = self.cost if later.cost is None else later.cost
        self.further = later.further or self.further
        self.final = self.final or later.final


def extract(shape: Shape, document: Mapping[str, object], root: Path) -> Stated:
    """What a document states by a shape, from one of the shape's roots."""
    stated = Stated(shape)
    holder = find(document, root)
    _take(holder, shape.counts, stated.counts, stated.unread)
    _take(holder, shape.details, stated.details, set())
    for steps in shape.seconds:
        stated.audio_ms = milliseconds(find(holder, steps)) if stated.audio_ms is None else stated.audio_ms
    for steps in shape.cost:
        stated.cost = dollars(find(holder, steps)) if stated.cost is None else stated.cost
    for steps in shape.cost_ticks:
        ticks = find(holder, steps) if stated.cost is None else None
        stated.cost = Decimal(count) / _TICKS if (count := counted_as(ticks)) else stated.cost
    if shape.further is not None:
        items = find(holder, shape.further)
        stated.further = items[:64] if isinstance(items, list) else []
    for used, model in shape.beside:
        part = find(document, used)
        if isinstance(part, dict) and any(map(counted_as, part.values())):
            named = next(iter(find_all(document, model)), IMAGE_TOOL)
            stated.further = [*stated.further, {**part, "type": IMAGE_TOOL, "model": named}]
    stated.final = any((find(document, steps) not in (None, [], {})) is wanted for wanted, steps in shape.last)
    return stated


def _take(holder: object, wanted: Mapping[str, Sums], into: dict[str, int], unread: set[str]) -> None:
    for name, candidates in wanted.items():
        for parts in candidates:
            values = [value for steps in parts for value in find_all(holder, steps)]
            if not values:
                continue
            counted = [count for value in values if (count := counted_as(value)) is not None]
            if len(counted) == len(values):
                into[name] = sum(counted)
                break
            if not isinstance(values[0], dict | list):
                UNREADABLE.add()
                unread.add(name)
                break
