"""The comparison as a whole: a bill, what was metered of its days, and whether they agree.

Reads only; an interrupt leaves nothing behind. What is stored while it runs may be in one number and not in another:
compare days that are over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from taximeter_consumers.pricing.vendors import book_provider
from taximeter_consumers.reconcile.attribution import Day, Difference, Measure, Use, compare, total_of
from taximeter_consumers.reconcile.metered import Days, Key, Metered, metered, metered_names
from taximeter_consumers.reconcile.names import meet
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.reconcile.bill import Bill, BillLine


@dataclass(frozen=True)
class Agreement:
    """What counts as agreement: the sum of all residuals, none of them offset by another, as a share of the bill."""

    tolerance: Decimal = Decimal("0.005")
    # So many candidate runs are named for each line.
    top: int = 5


@dataclass(frozen=True)
class Reconciliation:
    """The outcome. Residual and unexplained are sums of amounts without their signs."""

    days: Days
    measure: Measure
    tolerance: Decimal
    differences: tuple[Difference, ...]
    metered: Decimal
    billed: Decimal
    residual: Decimal
    unexplained: Decimal

    @property
    def agrees(self) -> bool:
        """Whether the residuals are within the tolerance of what was billed."""
        return self.residual <= self.tolerance * abs(self.billed)


def reconcile(
    clickhouse: ClickHouse, bill: Bill, agreement: Agreement, since: date | None = None, until: date | None = None
) -> Reconciliation:
    """Compares the days from `since` on and before `until`, by default all days of the bill.

    Raises Misconfigured where the bill has nothing in them, Retryable when ClickHouse is away.
    """
    bill = bill.within(since, until)
    if not bill.lines:
        raise Misconfigured("the bill has no line in these days", mend="look at --from and --to, and at the file")
    days = Days(
        since or min(line.day for line in bill.lines),
        until or max(line.day for line in bill.lines) + timedelta(days=1),
        bill.providers,
        bill.has_models,
    )
    names = metered_names(clickhouse, days)
    measured = metered(clickhouse, days, names, agreement.top)
    measure = Measure.COST if bill.has_cost else Measure.TOKENS
    lines = days_of(bill.lines, measured, names)
    differences = tuple(compare(line, measure, agreement.top) for line in lines)
    return Reconciliation(days, measure, agreement.tolerance, differences, *total_of(differences))


def days_of(
    billed: Iterable[BillLine], measured: Mapping[Key, Metered], names: Mapping[tuple[str, str], tuple[str, str]]
) -> list[Day]:
    """Bill and meter side by side, by day, provider and model; a side that has nothing is empty. Pure."""
    known: dict[str, set[tuple[str, str]]] = {}
    for (provider, _), (payer, name) in names.items():
        known.setdefault(payer, set()).add((book_provider(provider), name))
    bills: dict[Key, Use] = {}
    for line in billed:
        model = meet(line.model, known.get(line.provider, ()))
        key = (line.day, line.provider, model)
        use = Use(line.requests or 0, line.cost_usd or Decimal(0), line.tokens or 0)
        bills[key] = bills[key].plus(use) if key in bills else use
    nothing = Metered(Use(), Use(), (), ())
    return [
        Day(*key, ours.use, ours.sound, bills.get(key), ours.doubts, ours.runs)
        for key in sorted(bills.keys() | measured.keys())
        if (ours := measured.get(key, nothing))
    ]
