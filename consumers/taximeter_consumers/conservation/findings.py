"""What an audit of the money says beside the gaps, in words that an operator can act on. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from taximeter_consumers.audit.balance import Finding, Severity

if TYPE_CHECKING:
    from datetime import datetime

    from taximeter_consumers.conservation.flight import Mark, Pending
    from taximeter_consumers.conservation.keyed import Keyed

NO_BILLING: Final = Finding(
    Severity.NOTE, "no_billing", "invoices are not compared: this database has none; `taximeter migrate` brings them"
)


def of_flight(begin: Mark, end: Mark, at_rest: Pending, left: Pending, in_flight: int) -> list[Finding]:
    """What is not rolled up (`at_rest`: at the beginning, `left`: of that at the end), and what changed meanwhile."""
    found = []
    if left.batches:
        text = (
            f"{left.batches:,} batches of {left.records:,} records are not rolled up, so what they touch is not proved;"
            " run `taximeter aggregate`"
        )
        found.append(Finding(Severity.UNPROVEN, "not_rolled_up", text, left.batches))
    orphans = at_rest.unknown & left.unknown
    if orphans:
        text = (
            f"rows of {len(orphans):,} batches are in no line of the ledger, so no tick takes them: a sink broke off"
            " and was not started again; run `taximeter sink`"
        )
        found.append(Finding(Severity.UNPROVEN, "not_in_ledger", text, len(orphans)))
    if end.reprices_open or begin.reprices_open or begin.reprices != end.reprices:
        text = "a re-rating is or was under way; run `taximeter aggregate`, then the audit again"
        found.append(Finding(Severity.UNPROVEN, "repricing", text))
    if in_flight:
        text = f"{in_flight:,} hours, minutes, runs or nodes have rows that are not rolled up yet, and are not judged"
        found.append(Finding(Severity.NOTE, "in_flight", text, in_flight))
    return found


def of_book(rolled_up: int, current: int, hours: int) -> list[Finding]:
    """Whether the rollups were made with the price book that stands."""
    if not hours or rolled_up == current:
        return []
    text = "the price book has prices that are not worked into the rollups; run `taximeter aggregate`"
    return [Finding(Severity.UNPROVEN, "new_prices", text)]


def of_more_gaps(keyed: Keyed, found: int, named: int) -> Finding:
    """Gaps beyond those that are named."""
    text = f"{keyed.name}: {found:,} {keyed.kind}s have gaps, {named:,} of them are named"
    return Finding(Severity.UNPROVEN, "more_gaps", text, found)


def of_retention(kept: datetime) -> Finding:
    """Raw events that were deleted on purpose."""
    text = f"raw events before {kept:%Y-%m-%d} were deleted by retention: the sums before it are frozen and not judged"
    return Finding(Severity.NOTE, "retention", text)
