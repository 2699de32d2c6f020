"""What a call would cost, before it is made, and what the book's models cost. Reads only.

The same matching, the same choice of prices and the same arithmetic as for stored events; a price that is known by now
counts, also for an instant in the past. An unknown model is an error that says which names are near.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.pricing.aliases import book_names
from taximeter_consumers.pricing.book import read_discounts, read_rates, server_time
from taximeter_consumers.pricing.match import BookName, match
from taximeter_consumers.pricing.price import Line, Prices, Source, cost_of
from taximeter_consumers.pricing.rate import Discount, Rate, micros
from taximeter_consumers.pricing.series import Card, Entry, Use, compiled, fitting
from taximeter_consumers.pricing.units import PLUGIN, RESOURCE, STANDARD, UNIT
from taximeter_consumers.pricing.vendors import book_provider
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.event import AiUsage, MeterEvent
from taximeter_schemas.service_tier import service_tier_of
from taximeter_schemas.uuid7 import compose

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

_NEAR: Final = 5


class UnknownModel(Misconfigured):
    """No name of the book fits. `near` are names that look alike."""

    def __init__(self, provider: str, model: str, near: Sequence[BookName]) -> None:
        names = ", ".join(f"{vendor}/{name}" for vendor, name in near) or "none"
        super().__init__(
            f"the price book has no model {model!r} of provider {provider!r}; near: {names}",
            mend="`taximeter prices list` shows all names, `taximeter prices set` adds one",
        )
        self.near = tuple(near)


@dataclass(frozen=True)
class Call:
    """A call that is not made yet. `units` is a count by unit; token counts overlap as on an event: input includes
    cache reads and writes, output includes reasoning."""

    provider: str
    model: str
    units: Mapping[str, int] = field(default_factory=dict)
    account_id: str = ""
    service_tier: str = ""


@dataclass(frozen=True)
class Estimate:
    """What the call would cost. `lines` say how: unit, quantity, US dollars for one, amount."""

    call: Call
    book_name: BookName
    at: datetime
    cost_usd: Decimal
    cost_source: Source
    lines: tuple[Line, ...]
    prices: Mapping[str, Decimal]

    @property
    def lacking(self) -> tuple[str, ...]:
        """Units of the call that have no price and need one."""
        return tuple(line.unit for line in self.lines if line.unit not in self.prices and UNIT[line.unit].required)


@dataclass(frozen=True)
class PricedModel:
    """A model of the book with its prices at an instant: unit -> US dollars for one, without tier, at any size."""

    provider: str
    model: str
    prices: Mapping[str, Decimal]
    service_tiers: tuple[str, ...] = ()
    above_input_tokens: tuple[int, ...] = ()
    windows: tuple[tuple[int, int], ...] = ()


def estimate(clickhouse: ClickHouse, call: Call, at: datetime | None = None) -> Estimate:
    """The cost of a call at an instant (now, by the clock of ClickHouse). Raises UnknownModel and Misconfigured."""
    now = server_time(clickhouse)
    name = find_model(call.provider, call.model, book_names(clickhouse))
    where = "provider = {provider:String} AND model = {model:String}"
    rates = read_rates(clickhouse, where, {"provider": name[0], "model": name[1]})
    entries = compiled(rates, read_discounts(clickhouse), call.account_id)
    return estimated(call, name, entries, at or now, max(at or now, now))


def estimated(call: Call, name: BookName, entries: Iterable[Entry], at: datetime, arrived_at: datetime) -> Estimate:
    """The cost of a call by compiled prices of its model. Pure. Raises Misconfigured for a unit that is none."""
    ai = _usage(call)
    card = fitting(entries, Use(at, arrived_at, ai.service_tier, ai.input_tokens))
    event = MeterEvent(event_id=compose(0, bytes(10)), occurred_at=at, executions=0, ai=ai)
    part = cost_of(event, Prices(model=card)).model
    return Estimate(call, name, at, part.cost, part.source, part.lines, dict(card.usd_per_unit) if card else {})


def find_model(provider: str, model: str, book: set[BookName]) -> BookName:
    """The book's name of a model. Raises UnknownModel with names that are near."""
    found = match(provider, model, book)
    if found is None:
        raise UnknownModel(provider, model, near_names(provider, model, book))
    return found


def near_names(provider: str, model: str, book: Iterable[BookName]) -> list[BookName]:
    """Names of the book that look alike: first those of the same provider. Pure."""
    names = sorted(book)
    vendor = book_provider(provider)
    of_vendor = [known for seller, known in names if seller == vendor]
    near = [(vendor, known) for known in get_close_matches(model, of_vendor, _NEAR)]
    if not near:
        near = [name for name in names if name[1] == model]
    if not near:
        near = [name for name in names if name[1] in get_close_matches(model, {known for _, known in names}, _NEAR)]
    return near[:_NEAR]


def list_models(
    clickhouse: ClickHouse, at: datetime | None = None, *, provider: str = "", account_id: str = ""
) -> list[PricedModel]:
    """The models of the book that have a price at an instant (now), as this account pays it, by provider and name."""
    now = server_time(clickhouse)
    where = f"provider NOT IN ('{PLUGIN}', '{RESOURCE}') AND account_id IN ('', {{account:String}})"
    where += " AND ({provider:String} = '' OR provider = {provider:String})"
    named: dict[str, Any] = {"account": account_id, "provider": book_provider(provider)}
    rates = read_rates(clickhouse, where, named)
    return models_at(rates, read_discounts(clickhouse), at or now, max(at or now, now), account_id)


def models_at(
    rates: Iterable[Rate], discounts: Sequence[Discount], at: datetime, arrived_at: datetime, account_id: str = ""
) -> list[PricedModel]:
    """The models of `rates` that have a price at an instant. Pure."""
    of_model: dict[BookName, list[Rate]] = {}
    for rate in rates:
        if rate.account_id in ("", account_id):
            of_model.setdefault((rate.provider, rate.model), []).append(rate)
    found = []
    for name, own in sorted(of_model.items()):
        entries = compiled(own, discounts, account_id)
        card = fitting(entries, Use(at, arrived_at))
        if card is not None and card.usd_per_unit:
            found.append(_described(name, card, _entries_at(entries, at, arrived_at)))
    return found


def _described(name: BookName, card: Card, entries: Sequence[Entry]) -> PricedModel:
    return PricedModel(
        *name,
        dict(card.usd_per_unit),
        tuple(sorted({entry.service_tier for entry in entries} - {""})),
        tuple(sorted({entry.above_input_tokens for entry in entries} - {0})),
        tuple(sorted({(entry.window_start, entry.window_end) for entry in entries} - {(0, 86_400)})),
    )


def _entries_at(entries: Iterable[Entry], at: datetime, arrived_at: datetime) -> list[Entry]:
    """The entries of the sheet and instant that hold."""
    held = [entry for entry in entries if entry.known_from <= arrived_at and entry.valid_from <= at]
    first = held[:1]
    return [entry for entry in held if _clock(entry) == _clock(first[0])]


def _clock(entry: Entry) -> tuple[int, int]:
    return micros(entry.known_from), micros(entry.valid_from)


def _usage(call: Call) -> AiUsage:
    columns = {unit.name: unit.column for unit in UNIT.values()}
    unknown = sorted(call.units.keys() - columns.keys())
    if unknown:
        raise Misconfigured(f"{', '.join(unknown)} is no unit of a model call", mend=f"use {', '.join(columns)}")
    counted = {columns[unit]: count for unit, count in call.units.items() if columns[unit]}
    beside = {unit: count for unit, count in call.units.items() if not columns[unit]}
    tier = service_tier_of(call.service_tier)
    fields: dict[str, Any] = {**counted, "units": beside, "service_tier": "" if tier == STANDARD else tier}
    return AiUsage(provider=call.provider, model=call.model, **fields)
