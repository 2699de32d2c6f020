"""A price that an operator sets: which rows that makes, and what they touch. `planned` is pure; nothing here writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import TYPE_CHECKING, Final

from taximeter_consumers.pricing.book import append_discounts, append_rates, read_discounts, read_rates, server_time
from taximeter_consumers.pricing.knowledge import END, Stretch, priced_stretches, with_knowledge
from taximeter_consumers.pricing.match import BookName, match
from taximeter_consumers.pricing.rate import EPOCH, Discount, Rate
from taximeter_consumers.pricing.units import PLUGIN, RESOURCE, RESOURCE_UNIT, UNIT
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.money import COST_SCALE, UNIT_SCALE

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

_TOUCHED: Final = """
SELECT count() FROM events
WHERE occurred_at >= {since:DateTime64(6, 'UTC')} AND occurred_at < {until:DateTime64(6, 'UTC')}
  AND ({account:String} = '' OR account_id = {account:String})
"""


@dataclass(frozen=True)
class Wish:
    """What an operator asks for. `rate` says it all but the end; `windows` are parts of the UTC day, in seconds."""

    rate: Rate
    until: datetime | None = None
    windows: tuple[tuple[int, int], ...] = ((0, 86_400),)


@dataclass(frozen=True)
class Outcome:
    """What a setting appends. `touched`: stored events in its interval; `keeps`: some were priced and keep that price.

    `later` are rows of the same series that hold from a later instant on, whatever is set before them.
    """

    rates: tuple[Rate, ...]
    touched: int
    later: tuple[Rate, ...]
    new: bool

    @property
    def keeps(self) -> bool:
        """Whether calls of the interval have been priced already, and keep that price until they are re-rated."""
        return any(rate.known_from > EPOCH.replace(year=1971) for rate in self.rates)


def usd_per_unit(usd: Decimal, per: Decimal, provider: str) -> tuple[Decimal, bool]:
    """The price of one unit, and whether it was rounded at the 18th place. Raises Misconfigured where `per` is nothing,
    and for a price of a plugin's unit beyond 9 places, since its amounts have 9 of their own."""
    if per <= 0:
        raise Misconfigured("a price for no units", mend="give --per a number above 0")
    with localcontext(prec=60):
        one = usd / per
        places = UNIT_SCALE if provider == PLUGIN else COST_SCALE
        kept = one.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)
        rounded = kept * per != usd
    if rounded and provider == PLUGIN:
        raise Misconfigured(f"{usd} US dollars per {per} have more than 9 decimal places", mend="set a rounder price")
    return kept, rounded


def checked_name(provider: str, model: str, book: Iterable[BookName]) -> tuple[BookName, bool]:
    """The name to set a price under, and whether it is new in the book. Raises Misconfigured where the book has the
    model under another name: a thin entry of its own would leave its other units without a price."""
    names = set(book)
    if provider == RESOURCE:
        if model:
            raise Misconfigured("resources have no model", mend="`taximeter prices set resource --unit cpu_us ...`")
        return (provider, ""), False
    if not model:
        raise Misconfigured(f"no model of provider {provider} is named", mend="name it: prices set PROVIDER MODEL")
    if provider == PLUGIN or (provider, model) in names:
        return (provider, model), False
    found = match(provider, model, names)
    if found is not None:
        known = f"{found[0]}/{found[1]}"
        raise Misconfigured(
            f"the book knows {provider}/{model} as {known}", mend=f"set the price of {found[0]} {found[1]}"
        )
    return (provider, model), True


def checked_unit(provider: str, unit: str) -> str:
    """The unit, where calls of this kind can count it. Raises Misconfigured with those that they can."""
    known = {RESOURCE: RESOURCE_UNIT, PLUGIN: None}.get(provider, UNIT)
    if known is not None and unit not in known:
        raise Misconfigured(f"{unit} is no unit of {provider}", mend=f"use one of {', '.join(known)}")
    return unit


def planned(wish: Wish, series: Sequence[Rate]) -> list[Rate]:
    """The rows of a wish, given the rows that its series have: the price, again wherever an older row would end it, and
    what held before at its end. Pure."""
    rows: list[Rate] = []
    for start, end in wish.windows:
        rate = replace(wish.rate, window_start=start, window_end=end)
        rows.append(rate)
        if wish.until is None:
            continue
        held = {row.valid_from: row for row in series if row.series == rate.series}
        rows += [replace(rate, valid_from=when) for when in sorted(held) if rate.valid_from < when < wish.until]
        if wish.until not in held:
            before = max((when for when in held if when <= wish.until), default=None)
            usd = None if before is None else held[before].usd_per_unit
            rows.append(replace(rate, valid_from=wish.until, usd_per_unit=usd, source=f"{rate.source}; ends here"))
    return rows


def set_price(clickhouse: ClickHouse, wish: Wish, names: set[BookName], *, dry_run: bool) -> Outcome:
    """Appends the rows of a wish; with `dry_run` only says which. `names` are the models of the book."""
    rate = wish.rate
    where = "provider = {provider:String} AND model = {model:String}"
    book = read_rates(clickhouse, where, {"provider": rate.provider, "model": rate.model})
    rows = planned(wish, book)
    told = with_knowledge(rows, book, priced_stretches(clickhouse, rows), server_time(clickhouse))
    series = {row.series for row in rows}
    ends = wish.until or END
    later = [row for row in book if row.series in series and row.valid_from > rate.valid_from] if not wish.until else []
    touched = _touched(clickhouse, rate, ends, names)
    if not dry_run:
        append_rates(clickhouse, told)
    return Outcome(tuple(told), touched, tuple(later), (rate.provider, rate.model) not in names)


def set_discount(clickhouse: ClickHouse, discount: Discount, *, dry_run: bool) -> Discount:
    """Appends a discount, known from now where calls of the account that it covers have been priced in its time."""
    asked = Rate("", "", "", None, account_id=discount.account_id)
    now = server_time(clickhouse)
    stretches = priced_stretches(clickhouse, [asked], all_models=True)
    known = now if any(_covered(discount, stretch) for stretch in stretches) else EPOCH
    there = [row.known_from for row in read_discounts(clickhouse) if _key(row) == _key(discount)]
    if there:
        known = max(known, now)
    told = replace(discount, known_from=known)
    if not dry_run:
        append_discounts(clickhouse, [told])
    return told


def _covered(discount: Discount, stretch: Stretch) -> bool:
    if stretch.account_id != discount.account_id or stretch.until <= discount.valid_from:
        return False
    if stretch.provider in (PLUGIN, RESOURCE) and not discount.provider:
        return False
    return discount.provider in ("", stretch.provider) and discount.model in ("", stretch.model)


def _key(discount: Discount) -> tuple[object, ...]:
    return discount.account_id, discount.provider, discount.model, discount.valid_from


def _touched(clickhouse: ClickHouse, rate: Rate, until: datetime, names: set[BookName]) -> int:
    """Stored events of the interval that used the model (or plugin; any event for resources), by all its names."""
    given = {"since": rate.valid_from, "until": until, "account": rate.account_id}
    if rate.provider == RESOURCE:
        return int(clickhouse.scalar(_TOUCHED, given))
    if rate.provider == PLUGIN:
        return int(clickhouse.scalar(f"{_TOUCHED} AND plugin_id = {{plugin:String}}", {**given, "plugin": rate.model}))
    name = (rate.provider, rate.model)
    pairs = [
        (provider, model)
        for provider, model, *known in clickhouse.rows(
            "SELECT provider, model, book_provider, book_model FROM model_aliases"
        )
        if tuple(known) == name or (known == ["", ""] and match(provider, model, names | {name}) == name)
    ]
    if not pairs:
        return 0
    within = f"{_TOUCHED} AND (provider, model) IN {{pairs:Array(Tuple(String, String))}}"
    return int(clickhouse.scalar(within, {**given, "pairs": pairs}))
