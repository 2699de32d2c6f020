"""What has been used and has no price: names without a match, units without a price, units of plugins. Reads only.

It looks at the charges, so what the rollups have not seen yet is not in it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from importlib import resources
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.pricing.aliases import aliases
from taximeter_consumers.pricing.book import read_rates
from taximeter_consumers.pricing.rate import EPOCH, Rate
from taximeter_consumers.pricing.units import PLUGIN, UNIT, described

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.pricing.match import BookName

_TOKENS: Final = frozenset(unit.name for unit in UNIT.values() if unit.side != "beside")


@dataclass(frozen=True)
class Unpriced:
    """One name of events whose use is not in any sum. `book_name` is None where the book has no match for it.

    `units` lack a price; `calls` is a lower bound where calls used different units. Times are quarters of an hour.
    """

    provider: str
    model: str
    book_name: BookName | None
    units: tuple[str, ...]
    calls: int
    tokens: int
    first_seen: datetime
    last_seen: datetime

    @property
    def mend(self) -> str:
        """The command that gives the first of its units a price from its first use on."""
        name = self.book_name or (self.provider, self.model)
        unit = self.units[0] if self.units else "input_tokens"
        per = described(self.provider, unit)[0]
        amount = "--per 1M" if per == 1_000_000 else f"--per {per}"
        words = " ".join(shlex.quote(word) for word in name)
        return f"taximeter prices set {words} --unit {unit} --usd USD {amount} --from {self.first_seen:%Y-%m-%d}"


def unpriced(clickhouse: ClickHouse, account: str = "") -> list[Unpriced]:
    """All that lacks a price, the most used first; of one account, or of all."""
    sql = (resources.files("taximeter_consumers.pricing") / "unpriced.sql").read_text(encoding="utf-8")
    rows = clickhouse.rows(sql, {"account": account})
    if not rows:
        return []
    names = aliases(clickhouse)
    wanted = {names.get((row[0], row[1]), (row[0], row[1])) for row in rows}
    rates = [
        rate
        for rate in read_rates(clickhouse, "account_id IN ('', {account:String})", {"account": account})
        if (rate.provider, rate.model) in wanted and rate.usd_per_unit is not None
    ]
    return collected(rows, names, rates)


def collected(
    rows: Iterable[Sequence[Any]], names: Mapping[BookName, BookName], rates: Iterable[Rate]
) -> list[Unpriced]:
    """One entry for each name out of the rows of `unpriced.sql`, which are in its order. Pure."""
    priced: dict[BookName, set[str]] = {}
    for rate in rates:
        priced.setdefault((rate.provider, rate.model), set()).add(rate.unit)
    found = []
    for (provider, model), group in groupby(rows, key=lambda row: (row[0], row[1])):
        uses = list(group)
        name = (provider, model) if provider == PLUGIN else names.get((provider, model))
        known = priced.get(name, set()) if name else set()
        lacking = _roots([unit for _, _, unit, *_ in uses if not _has_price(provider, unit, known)])
        found.append(
            Unpriced(
                provider,
                model,
                name,
                lacking,
                max(int(events) for _, _, _, events, *_ in uses),
                int(sum((Decimal(quantity) for _, _, unit, _, quantity, *_ in uses if unit in _TOKENS), Decimal(0))),
                _moment(min(use[5] for use in uses)),
                _moment(max(use[6] for use in uses)),
            )
        )
    return sorted(found, key=lambda one: (-one.calls, one.provider, one.model))


def _roots(lacking: Sequence[str]) -> tuple[str, ...]:
    """Of units that lack a price those that have to get one: others would take the price of these. In our order."""
    needed = [unit for unit in lacking if unit not in UNIT or not set(UNIT[unit].prices_of) & set(lacking)]
    return tuple(sorted(needed, key=lambda unit: (list(UNIT).index(unit) if unit in UNIT else len(UNIT), unit)))


def _has_price(provider: str, unit: str, known: set[str]) -> bool:
    """Whether the unit has a price at some time; if it had none at the time of the use, dates are what lacks."""
    described_unit = None if provider == PLUGIN else UNIT.get(unit)
    if described_unit is None:
        return unit in known
    return not described_unit.required or bool(known & {unit, *described_unit.prices_of})


def _moment(second: int) -> datetime:
    return EPOCH + timedelta(seconds=second)
