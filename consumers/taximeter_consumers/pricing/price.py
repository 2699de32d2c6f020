"""What one event costs, as a pure function: the reference that `charged_events.sql` is held against by test.

An event's cost has three parts: the call of a model, the units of a plugin, and the resources that the attempt used.
Counters of a call overlap and are split into cells first (`units.py`).

A cell below zero means that the reporter contradicts itself. It counts as zero and the other counters as stated, except
in an adjustment: that is a difference between two statements, where a cell below zero is right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Final, Literal

from taximeter_consumers.pricing.units import CALLS, INVOCATIONS, PLUGIN, REQUESTS, RESOURCE, RESOURCES, UNITS
from taximeter_schemas.event import Kind, Quality
from taximeter_schemas.money import COST_SCALE

if TYPE_CHECKING:
    from taximeter_consumers.pricing.series import Card
    from taximeter_schemas.event import AiUsage, MeterEvent

Source = Literal["reported", "priced", "unpriced", "unmeasured", "mixed", "none"]

LARGEST_COST: Final = Decimal(10) ** 12
"""US dollars. A single part that costs more is a broken counter; it counts as unmeasured and cannot stop a rollup."""

_UNMEASURED: Final = frozenset({Quality.MISSING, Quality.UNKNOWN})
_DIGITS: Final = 76
_ZERO: Final = Decimal(0)


@dataclass(frozen=True)
class Line:
    """One unit of a charge: `quantity` x `usd_per_unit` = `amount` where its source is priced."""

    provider: str
    model: str
    unit: str
    source: Source
    quantity: Decimal
    usd_per_unit: Decimal = _ZERO
    amount: Decimal = _ZERO


@dataclass(frozen=True)
class Part:
    """One part of an event's cost, with how it is known and what it is made of."""

    source: Source
    lines: tuple[Line, ...] = ()

    @property
    def cost(self) -> Decimal:
        """US dollars; zero where the cost is not known."""
        with localcontext(prec=_DIGITS):
            return sum((line.amount for line in self.lines), _ZERO).quantize(Decimal(1).scaleb(-COST_SCALE))


NOTHING: Final = Part("none")


@dataclass(frozen=True)
class Charge:
    """What an event costs, by its parts."""

    model: Part = NOTHING
    plugin: Part = NOTHING
    resources: Part = NOTHING

    @property
    def parts(self) -> tuple[Part, ...]:
        """All three."""
        return self.model, self.plugin, self.resources

    @property
    def cost(self) -> Decimal:
        """US dollars: what is known of it."""
        with localcontext(prec=_DIGITS):
            return sum((part.cost for part in self.parts), _ZERO)

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines of all parts."""
        return tuple(line for part in self.parts for line in part.lines)

    @property
    def source(self) -> Source:
        """How the cost is known: the word of its parts, `mixed` where they differ, `none` where nothing has a price."""
        words: set[Source] = {part.source for part in self.parts} - {"none"}
        return "mixed" if len(words) > 1 else next(iter(words), "none")


@dataclass(frozen=True)
class Prices:
    """The cards that hold for one event: of its model, of its plugin, and of resources. None: there is none."""

    model: Card | None = None
    plugin: Card | None = None
    resources: Card | None = None


def counts(ai: AiUsage) -> dict[str, int]:
    """The counters of a call as stated, by unit; they overlap. Without a count of requests it is one, if it counted."""
    stated = {unit.name: getattr(ai, unit.column) if unit.column else ai.units.get(unit.name, 0) for unit in UNITS}
    if REQUESTS not in ai.units:
        stated[REQUESTS] = int(any(stated.values()))
    return stated


def call_size(ai: AiUsage) -> int:
    """The input tokens that a cliff looks at: those of one call. Of an event that adds calls up, the average."""
    return ai.input_tokens // max(1, ai.units.get(REQUESTS, 1)) if ai.input_tokens > 0 else ai.input_tokens


def quantities(ai: AiUsage, kind: Kind) -> dict[str, int]:
    """The counters of a call split so that they do not overlap: unit -> how many."""
    stated = counts(ai)
    cells = {
        unit.name: stated[unit.name]
        - sum(stated[name] for name in unit.minus)
        + sum(stated[name] for name in unit.plus)
        for unit in UNITS
    }
    return cells if kind is Kind.ADJUSTMENT else {unit: max(0, count) for unit, count in cells.items()}


def cost_of(event: MeterEvent, prices: Prices) -> Charge:
    """The charge of an event at the prices that hold for it."""
    return Charge(
        _of_model(event, prices.model),
        _of_plugin(event, prices.plugin.usd_per_unit if prices.plugin else {}),
        _of_resources(event, prices.resources.usd_per_unit if prices.resources else {}),
    )


def _of_model(event: MeterEvent, card: Card | None) -> Part:
    """`none`: no model was used. `reported`: the provider stated the cost, zero included. `unmeasured`: nobody knows
    what was used. `unpriced`: a unit that was used has no price; such a call is never priced in part."""
    ai = event.ai
    if ai is None:
        return NOTHING
    if ai.reported_cost is not None:
        whole = Line(ai.provider, ai.model, CALLS, "reported", Decimal(1), amount=ai.reported_cost)
        return _bounded(Part("reported", (whole,)), ai)
    if ai.quality in _UNMEASURED:
        return _unmeasured(ai)
    known: Mapping[str, Decimal] = card.usd_per_unit if card else {}
    used = {unit: count for unit, count in quantities(ai, event.kind).items() if count}
    required = {unit.name for unit in UNITS if unit.required}
    if card is None or any(unit in required and unit not in known for unit in used):
        return Part(
            "unpriced",
            tuple(Line(ai.provider, ai.model, unit, "unpriced", Decimal(count)) for unit, count in used.items()),
        )
    lines = [_priced(ai.provider, ai.model, unit, Decimal(n), known[unit]) for unit, n in used.items() if unit in known]
    return _bounded(Part("priced", tuple(lines)), ai)


def _of_plugin(event: MeterEvent, known: Mapping[str, Decimal]) -> Part:
    """A plugin's own unit without a price makes the use unpriced; its invocations cost where they have a price."""
    plugin = event.plugin
    if plugin is None:
        return NOTHING
    used = {unit: amount for unit, amount in plugin.custom_units.items() if amount}
    if plugin.invocations and INVOCATIONS in known and INVOCATIONS not in used:
        used[INVOCATIONS] = Decimal(plugin.invocations)
    if not used:
        return NOTHING
    unpriced = Part("unpriced", tuple(Line(PLUGIN, plugin.plugin_id, unit, "unpriced", n) for unit, n in used.items()))
    if any(unit not in known for unit in used):
        return unpriced
    part = Part("priced", tuple(_priced(PLUGIN, plugin.plugin_id, unit, n, known[unit]) for unit, n in used.items()))
    return unpriced if abs(part.cost) > LARGEST_COST else part


def _of_resources(event: MeterEvent, known: Mapping[str, Decimal]) -> Part:
    """What the executor used itself costs nothing until it has a price."""
    http, code = event.http, event.code
    used = {
        "executions": event.executions,
        "cpu_us": code.cpu_us if code else 0,
        "http_requests": http.requests if http else 0,
        "http_bytes_out": http.bytes_out if http else 0,
        "http_bytes_in": http.bytes_in if http else 0,
    }
    priced = {unit.name: used[unit.name] for unit in RESOURCES if used[unit.name] and unit.name in known}
    part = Part("priced", tuple(_priced(RESOURCE, "", unit, Decimal(n), known[unit]) for unit, n in priced.items()))
    return part if priced and abs(part.cost) <= LARGEST_COST else NOTHING


def _priced(provider: str, model: str, unit: str, quantity: Decimal, usd_per_unit: Decimal) -> Line:
    with localcontext(prec=_DIGITS):
        return Line(provider, model, unit, "priced", quantity, usd_per_unit, quantity * usd_per_unit)


def _bounded(part: Part, ai: AiUsage) -> Part:
    return _unmeasured(ai) if abs(part.cost) > LARGEST_COST else part


def _unmeasured(ai: AiUsage) -> Part:
    return Part("unmeasured", (Line(ai.provider, ai.model, CALLS, "unmeasured", Decimal(1)),))
