"""The price book compiled: rows of a model become cards, and entries that say in which situation which card holds.

A card has every price of one situation, flat. The entries of a model are in order of precedence, so whoever prices a
call takes the first that fits: `fitting` here, `arrayFirst` in the SQL. All choosing is done here, once; what
is left to do for a call is arithmetic. Pure.

For each unit, in this order: the account's own price before everybody's, the call's service tier before standard, a
window of the day before all day, the highest exceeded number of input tokens first. Where a series knows no price, the
next one is asked; then the units whose price it takes (`units.prices_of`).
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from functools import cached_property
from itertools import pairwise

from taximeter_consumers.pricing.rate import DAY_SECONDS, Discount, Rate
from taximeter_consumers.pricing.units import PLUGIN, RESOURCE, STANDARD, UNITS
from taximeter_schemas.money import COST_SCALE, UNIT_SCALE, plain


@dataclass(frozen=True)
class Card:
    """All prices of one situation: unit -> US dollars for one of it."""

    usd_per_unit: Mapping[str, Decimal]

    @cached_property
    def card_id(self) -> int:
        """Made of the content, never 0, so that equal prices are one card wherever they come from."""
        text = "\n".join(f"{unit}={plain(price)}" for unit, price in sorted(self.usd_per_unit.items()))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") or 1


@dataclass(frozen=True)
class Entry:
    """A situation and its card. `service_tier` empty: any. The window is in seconds of the UTC day."""

    known_from: datetime
    valid_from: datetime
    service_tier: str
    window_start: int
    window_end: int
    above_input_tokens: int
    card: Card


@dataclass(frozen=True)
class Use:
    """What the choice of a card looks at. `arrived_at` is when the event came into Kafka, `input_tokens` are those of
    one call."""

    occurred_at: datetime
    arrived_at: datetime
    service_tier: str = ""
    input_tokens: int = 0


def fitting(entries: Iterable[Entry], use: Use) -> Card | None:
    """The card of the first entry that fits; None where none does."""
    midnight = use.occurred_at.replace(hour=0, minute=0, second=0, microsecond=0)
    second = int((use.occurred_at - midnight).total_seconds())
    for entry in entries:
        if (
            entry.known_from <= use.arrived_at
            and entry.valid_from <= use.occurred_at
            and entry.service_tier in ("", use.service_tier)
            and entry.window_start <= second < entry.window_end
            and (entry.above_input_tokens == 0 or use.input_tokens > entry.above_input_tokens)
        ):
            return entry.card
    return None


def compiled(rates: Sequence[Rate], discounts: Sequence[Discount] = (), account_id: str = "") -> tuple[Entry, ...]:
    """The entries of one model of the book for one account (empty: everybody), from its rates and discounts.

    Rates of other accounts and discounts of other models are left out, so all of them may be given.
    """
    mine = [rate for rate in rates if rate.account_id in ("", account_id)]
    if not mine:
        return ()
    sheets: list[list[Entry]] = []
    off = [one for one in discounts if one.account_id == account_id and account_id and _covers(one, mine[0])]
    for known_from in sorted({rate.known_from for rate in mine} | {one.known_from for one in off}):
        book = _Known(
            [rate for rate in mine if rate.known_from <= known_from],
            [one for one in off if one.known_from <= known_from],
            account_id,
        )
        sheet = book.entries(known_from)
        if sheet and (not sheets or _without_knowledge(sheet) != _without_knowledge(sheets[-1])):
            sheets.append(sheet)
    return tuple(entry for sheet in reversed(sheets) for entry in sheet)


def _covers(discount: Discount, rate: Rate) -> bool:
    if rate.provider in (PLUGIN, RESOURCE) and not discount.provider:
        return False
    return discount.provider in ("", rate.provider) and discount.model in ("", rate.model)


def _without_knowledge(sheet: Sequence[Entry]) -> list[tuple[object, ...]]:
    return [(e.valid_from, e.service_tier, e.window_start, e.above_input_tokens, e.card.card_id) for e in sheet]


Column = tuple[str, str, int, int, int, str]
"""(account, service tier, window start, window end, above input tokens, unit)."""
Situation = tuple[str, int, int, int]
"""(service tier, window start, window end, above input tokens)."""


class _Known:
    """What is known of one model at one instant of knowledge."""

    def __init__(self, rates: Sequence[Rate], discounts: Sequence[Discount], account_id: str) -> None:
        self._account_id = account_id
        self._rows: dict[Column, list[Rate]] = {}
        # Of rows for the same instant the one that was known last counts.
        for rate in sorted(rates, key=lambda rate: (rate.valid_from, rate.known_from)):
            window = (rate.window_start, rate.window_end)
            column = (rate.account_id, rate.service_tier, *window, rate.above_input_tokens, rate.unit)
            self._rows.setdefault(column, []).append(rate)
        self._discounts = sorted(
            discounts, key=lambda one: (one.provider != "", one.model != "", one.valid_from, one.known_from)
        )
        self._instants = sorted({rate.valid_from for rate in rates} | {one.valid_from for one in discounts})
        self._tiers = sorted({rate.service_tier for rate in rates} - {STANDARD})
        self._windows = sorted({(rate.window_start, rate.window_end) for rate in rates}, key=lambda w: (w[1] - w[0], w))
        cuts = sorted({0, DAY_SECONDS, *(cut for window in self._windows for cut in window)})
        self._slices = list(pairwise(cuts))
        self._sizes = sorted({0, *(rate.above_input_tokens for rate in rates)}, reverse=True)
        self._units = sorted({rate.unit for rate in rates})
        self._of_model = bool(rates) and rates[0].provider not in (PLUGIN, RESOURCE)
        # Amounts of a plugin have places of their own.
        of_plugin = bool(rates) and rates[0].provider == PLUGIN
        self._last_place = Decimal(1).scaleb(-UNIT_SCALE if of_plugin else -COST_SCALE)

    def entries(self, known_from: datetime) -> list[Entry]:
        """In order of precedence: the latest instants first, what says nothing new left out."""
        found: list[list[tuple[Situation, Card]]] = []
        instants: list[datetime] = []
        for instant in self._instants:
            cells = self._cells(instant)
            if cells and (not found or _ids(cells) != _ids(found[-1])):
                found.append(cells)
                instants.append(instant)
        return [
            Entry(known_from, instant, *situation, card)
            for instant, cells in zip(reversed(instants), reversed(found), strict=True)
            for situation, card in cells
        ]

    def _cells(self, instant: datetime) -> list[tuple[Situation, Card]]:
        plain_cells = self._cells_of_tier(instant, "")
        tiers = [self._cells_of_tier(instant, tier) for tier in self._tiers]
        # A tier without prices of its own costs what any call costs.
        named = [cell for cells in tiers if _places(cells) != _places(plain_cells) for cell in cells]
        return [*named, *plain_cells]

    def _cells_of_tier(self, instant: datetime, tier: str) -> list[tuple[Situation, Card]]:
        columns = [(window, self._cards(instant, tier, window)) for window in self._slices]
        merged: list[tuple[tuple[int, int], list[tuple[int, Card]]]] = []
        for (start, end), cards in columns:
            if merged and [(n, card.card_id) for n, card in merged[-1][1]] == [(n, card.card_id) for n, card in cards]:
                merged[-1] = ((merged[-1][0][0], end), cards)
            else:
                merged.append(((start, end), cards))
        return [((tier, start, end, above), card) for (start, end), cards in merged for above, card in cards]

    def _cards(self, instant: datetime, tier: str, window: tuple[int, int]) -> list[tuple[int, Card]]:
        """Cards by input tokens, the highest number first; one that changes nothing is left out."""
        cards = [(above, self._card(instant, (tier, *window, above))) for above in self._sizes]
        kept = [pair for pair, lower in pairwise(cards) if pair[1].card_id != lower[1].card_id]
        return [*kept, cards[-1]]

    def _card(self, instant: datetime, situation: Situation) -> Card:
        own = {unit: price for unit in self._units if (price := self._price(unit, instant, situation)) is not None}
        if not self._of_model:
            return Card(own)
        flat = {
            unit.name: next(own[name] for name in (unit.name, *unit.prices_of) if name in own)
            for unit in UNITS
            if any(name in own for name in (unit.name, *unit.prices_of))
        }
        return Card(flat)

    def _price(self, unit: str, instant: datetime, situation: Situation) -> Decimal | None:
        tier, start, end, above = situation
        windows = [window for window in self._windows if window[0] <= start and end <= window[1]]
        sizes = [size for size in self._sizes if size <= above]
        for account in dict.fromkeys((self._account_id, "")):
            for named in dict.fromkeys((tier or STANDARD, STANDARD)):
                for window in windows:
                    for size in sizes:
                        price = self._at((account, named, *window, size, unit), instant)
                        if price is not None:
                            return price if account else self._reduced(price, instant)
        return None

    def _at(self, column: Column, instant: datetime) -> Decimal | None:
        rows = self._rows.get(column, [])
        place = bisect_right(rows, instant, key=lambda rate: rate.valid_from)
        return rows[place - 1].usd_per_unit if place else None

    def _reduced(self, price: Decimal, instant: datetime) -> Decimal:
        """A list price with the account's discount, rounded half to even at the last place that is stored."""
        held: dict[tuple[str, str], Decimal | None] = {}
        for discount in self._discounts:
            if discount.valid_from <= instant:
                held[discount.provider, discount.model] = discount.percent
        percent = next((held[key] for key in sorted(held, reverse=True) if held[key] is not None), None)
        if percent is None:
            return price
        with localcontext(prec=60):
            return (price * (100 - percent) / 100).quantize(self._last_place, rounding=ROUND_HALF_EVEN)


def _ids(cells: Sequence[tuple[Situation, Card]]) -> list[tuple[Situation, int]]:
    return [(situation, card.card_id) for situation, card in cells]


def _places(cells: Sequence[tuple[Situation, Card]]) -> list[tuple[object, ...]]:
    return [(*situation[1:], card.card_id) for situation, card in cells]
