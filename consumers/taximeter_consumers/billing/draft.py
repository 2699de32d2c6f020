"""What an invoice will say: the charges of its period, what is late of earlier ones, fees and credits.

The content follows from the charges of now and from the account's invoices with lower numbers, and from nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING

from taximeter_consumers.billing.amounts import ZERO, negated, total
from taximeter_consumers.billing.charged import read_charges
from taximeter_consumers.billing.invoice import VOID, Draft, Invoice, settings_json
from taximeter_consumers.billing.late import billed, unbilled
from taximeter_consumers.billing.lines import Kind
from taximeter_consumers.billing.periods import Month, Period, period_labelled, periods_from
from taximeter_consumers.billing.stored import settings_of
from taximeter_consumers.billing.totals import Carried, History, Included, all_lines
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taximeter_consumers.billing.terms import BillingSettings, Terms
    from taximeter_consumers.clickhouse import ClickHouse

PAID = "paid"


def draft_for(
    clickhouse: ClickHouse, settings: BillingSettings, label: str, earlier: Sequence[Invoice], revision: int = 0
) -> Draft:
    """The draft for the period `label`, after the account's `earlier` invoices. Raises Misconfigured where its billing
    periods are no longer those that were invoiced."""
    check_periods(settings.terms, earlier)
    covered = covered_periods(settings.terms, label, earlier)
    period = covered[-1]
    charged = read_charges(clickhouse, settings.account_id, covered)
    standing = [invoice for invoice in earlier if invoice.status != VOID]
    labels = {one.label for one in covered}
    before = billed(line for invoice in standing for line in invoice.draft.lines if line.period in labels)
    usage = unbilled(charged.billable, before, label)
    lines = all_lines(period, usage, settings, history_of(standing))
    system_usd = charged.system_usd.get(label, ZERO)
    return Draft(settings.account_id, period, lines, system_usd, settings_json(settings, period), revision)


def covered_periods(terms: Sequence[Terms], label: str, earlier: Sequence[Invoice]) -> list[Period]:
    """The periods that an invoice accounts for: its own, last, and all from the first one that was invoiced."""
    first = min([label, *(invoice.draft.period.label for invoice in earlier)])
    periods = []
    for period in periods_from(terms, Month.of_label(first)):
        periods.append(period)
        if period.label == label:
            break
    return periods


def check_periods(terms: Sequence[Terms], issued: Sequence[Invoice]) -> None:
    """Raises Misconfigured where `terms` give a period that was invoiced other bounds than it had then."""
    for invoice in issued:
        was, now = invoice.draft.period, period_labelled(terms, invoice.draft.period.label)
        if was != now:
            raise Misconfigured(
                f"by these terms the period {was.label} of account {invoice.draft.account_id} would be {now.starts_at}"
                f" to {now.ends_at}, but {invoice.invoice_id} has billed {was.starts_at} to {was.ends_at}",
                mend="let anchor day or time zone change from the end of the last invoiced period on",
            )


def history_of(standing: Sequence[Invoice]) -> History:
    """What earlier invoices that are not void leave to the next one."""
    used: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
    billed_usd: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
    allowed: defaultdict[str, Decimal] = defaultdict(lambda: ZERO)
    taken = set()
    for line in (line for invoice in standing for line in invoice.draft.lines):
        if line.kind is Kind.CREDIT:
            used[line.reference] = total((used[line.reference], negated(line.amount_usd)))
        elif line.kind is Kind.ALLOWANCE:
            allowed[line.period] = total((allowed[line.period], negated(line.amount_usd)))
        elif line.kind in (Kind.USAGE, Kind.LATE):
            billed_usd[line.period] = total((billed_usd[line.period], line.amount_usd))
        elif line.kind is Kind.CARRIED:
            taken.add(line.reference)
    carried = [
        Carried(invoice.invoice_id, invoice.due_usd)
        for invoice in standing
        if invoice.due_usd < ZERO and invoice.status != PAID and invoice.invoice_id not in taken
    ]
    return History(dict(used), carried, included_by(standing), dict(billed_usd), dict(allowed))


def included_by(standing: Sequence[Invoice]) -> dict[str, Included]:
    """What the plans of invoiced periods include, by period, as each invoice with a plan's fee has noted it."""
    found = {}
    for invoice in standing:
        plan = settings_of(invoice)["plan"]
        if plan is not None:
            included_usd = Decimal(plan["included_usd"])
            found[invoice.draft.period.label] = Included(plan["plan_id"], plan["name"], included_usd)
    return found
