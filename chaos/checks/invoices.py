"""Invoices against the journal: numbers, one invoice for each account and period, and every charge billed once."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from chaos.charging import total
from chaos.checks.rollups import lines_of, priced_rows
from chaos.checks.rows import keyed_differences
from chaos.evidence import Evidence
from chaos.truth import Row

_OF_LINES: Final = ("workflow_id", "provider", "model", "unit", "service_tier", "source", "usd_per_unit")
_USE: Final = frozenset({"usage", "late"})
_NOTHING: Final = {"events": 0, "quantity": Decimal(0), "cost_usd": Decimal(0)}


def invoices_exact(evidence: Evidence) -> list[str]:
    """One set of invoices with numbers from 1 on, each of whole cents; of the periods that are billed to the end, the
    lines are the journal's charges, key by key."""
    return [*_numbered(evidence), *_summed(evidence), *_billed(evidence)]


def _numbered(evidence: Evidence) -> list[str]:
    numbers = sorted(int(invoice["number"]) for invoice in evidence.invoices)
    whose = Counter((invoice["account_id"], invoice["period"]) for invoice in evidence.invoices)
    problems = [f"{key} has {times} invoices" for key, times in whose.items() if times > 1]
    if numbers != list(range(1, len(numbers) + 1)):
        problems.append(f"the numbers have gaps or repeats: {numbers}")
    if evidence.billed and not numbers:
        problems.append("nothing was invoiced")
    return problems


def _summed(evidence: Evidence) -> list[str]:
    problems = []
    for invoice in evidence.invoices:
        lines = [line for line in evidence.invoice_lines if line["number"] == invoice["number"]]
        due = total(line["amount_usd"] for line in lines)
        if due != invoice["due_usd"] or due != round(due, 2):
            problems.append(f"{invoice['invoice_id']} is due with {invoice['due_usd']} where its lines are {due}")
        problems += [
            f"{invoice['invoice_id']} has use of {line['period']}"
            for line in lines
            if line["kind"] in _USE and (line["kind"] == "usage") != (line["period"] == invoice["period"])
        ]
    return problems


def _billed(evidence: Evidence) -> list[str]:
    expected: dict[tuple[Any, ...], dict[str, Any]] = defaultdict(lambda: dict(_NOTHING))
    for line in lines_of(priced_rows(evidence)):
        month = f"{datetime.fromtimestamp(line['occurred_at'] // 10**6, UTC):%Y-%m}"
        if line["context"] != "system" and month in evidence.billed:
            _add(expected, line["account_id"], month, line, (1, line["quantity"], line["amount"]))
    found: dict[tuple[Any, ...], dict[str, Any]] = defaultdict(lambda: dict(_NOTHING))
    for line in evidence.invoice_lines:
        if line["kind"] in _USE and line["period"] in evidence.billed:
            told = (int(line["events"]), line["quantity"], line["amount_usd"])
            _add(found, line["account_id"], line["period"], line, told)
    # A late line may take back what another has billed.
    return keyed_differences(expected, {key: sums for key, sums in found.items() if sums != _NOTHING})


def _add(
    sums: dict[tuple[Any, ...], dict[str, Any]],
    account_id: str,
    month: str,
    line: Row,
    told: tuple[int, Decimal, Decimal],
) -> None:
    held = sums[account_id, month, *(line[name] for name in _OF_LINES)]
    events, quantity, cost = told
    held["events"] += events
    held["quantity"] += quantity
    held["cost_usd"] = total((held["cost_usd"], cost))
