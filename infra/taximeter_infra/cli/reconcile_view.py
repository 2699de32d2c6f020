"""How a reconciliation looks: a line for each day and model, candidates below, a verdict; and the same as JSON."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table

from taximeter_consumers.reconcile import Measure
from taximeter_infra.cli.report_view import wide_console
from taximeter_schemas.money import plain, shown

if TYPE_CHECKING:
    from taximeter_consumers.reconcile import Bill, Candidate, Difference, Reconciliation

_HEADINGS: Final = ("day", "model", "calls", "metered", "billed", "residual", "share", "could explain", "unexplained")
_WORDS: Final = ("day", "model")


def show(found: Reconciliation, bill: Bill) -> None:
    """The comparison for people."""
    console = wide_console()
    table = Table(box=None, pad_edge=False)
    for heading in _HEADINGS:
        table.add_column(heading, justify="left" if heading in _WORDS else "right", no_wrap=True)
    for one in found.differences:
        table.add_row(*_cells(one, found.measure))
    console.print(table, highlight=False, markup=False)
    for line in [*_candidates(found), *verdicts(found, bill)]:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def verdicts(found: Reconciliation, bill: Bill) -> list[str]:
    """The outcome in plain lines, the last one the verdict."""
    amount = _amount(found.measure)
    lines = []
    if bill.empty:
        lines.append(f"{bill.empty:,} of {bill.rows:,} lines of the bill state nothing")
    if not bill.has_cost:
        lines.append("the bill states no cost: tokens are compared")
    if not bill.has_models:
        lines.append("the bill names no models: days are compared as a whole")
    lines.append(
        f"metered {amount(found.metered)}, billed {amount(found.billed)}; residuals {amount(found.residual)} in all,"
        f" unexplained {amount(found.unexplained)}"
    )
    allowed = f"{_percent(found.tolerance)} of the bill"
    lines.append(f"agrees within {allowed}" if found.agrees else f"DOES NOT AGREE within {allowed}")
    return lines


def as_object(found: Reconciliation, bill: Bill) -> dict[str, Any]:
    """The comparison for `--json`."""
    return {
        "agrees": found.agrees,
        "measure": found.measure,
        "from": found.days.since.isoformat(),
        "to": found.days.until.isoformat(),
        "providers": list(found.days.providers),
        "tolerance": plain(found.tolerance),
        "rows": bill.rows,
        "empty_rows": bill.empty,
        "metered": plain(found.metered),
        "billed": plain(found.billed),
        "residual": plain(found.residual),
        "unexplained": plain(found.unexplained),
        "verdict": verdicts(found, bill)[-1],
        "differences": [_difference(one) for one in found.differences],
    }


def _difference(one: Difference) -> dict[str, Any]:
    return {
        "day": one.day.day.isoformat(),
        "provider": one.day.provider,
        "model": one.day.model,
        "on_bill": one.day.billed is not None,
        "calls": one.day.metered.calls,
        "metered": plain(one.metered),
        "billed": plain(one.billed),
        "residual": plain(one.residual),
        "share": None if one.share is None else plain(one.share),
        "explained": plain(one.explained),
        "unexplained": plain(one.unexplained),
        "reasons": [_candidate(reason) for reason in one.reasons],
        "candidates": [_candidate(candidate, run=True) for candidate in one.candidates],
    }


def _candidate(candidate: Candidate, *, run: bool = False) -> dict[str, Any]:
    doubt = candidate.doubt
    named = {"account_id": doubt.account_id, "run_id": doubt.run_id} if run else {}
    return {
        **named,
        "reason": doubt.reason,
        "calls": doubt.use.calls,
        "cost_usd": plain(doubt.use.cost_usd),
        "tokens": doubt.use.tokens,
        "could_explain": plain(candidate.could_explain),
    }


def _cells(one: Difference, measure: Measure) -> tuple[str, ...]:
    amount = _amount(measure)
    return (
        one.day.day.isoformat(),
        "/".join(filter(None, (one.day.provider, one.day.model))) or "all models",
        f"{one.day.metered.calls:,}",
        amount(one.metered),
        amount(one.billed) if one.day.billed is not None else "not on the bill",
        amount(one.residual),
        "-" if one.share is None else _percent(one.share),
        amount(one.explained),
        amount(one.unexplained),
    )


def _candidates(found: Reconciliation) -> list[str]:
    amount = _amount(found.measure)
    lines = []
    for one in found.differences:
        if not one.candidates:
            continue
        lines.append(f"candidates of {one.day.day} {one.day.model or 'all models'}, residual {amount(one.residual)}:")
        for candidate in one.candidates:
            doubt = candidate.doubt
            lines.append(
                f"  {doubt.reason}: run {doubt.run_id or '(none)'} of {doubt.account_id or '(no account)'},"
                f" {doubt.use.calls:,} calls, could explain {amount(candidate.could_explain)} at most"
            )
    return lines


def _amount(measure: Measure) -> Any:
    return shown if measure is Measure.COST else lambda tokens: f"{tokens:,f}"


def _percent(share: Decimal) -> str:
    return f"{(share * 100).quantize(Decimal('0.01'), rounding=ROUND_HALF_UP)} %"
