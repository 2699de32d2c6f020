"""An invoice as a page says it: parties, sections of rows, and the sum. Pure; HTML and PDF show the same."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from taximeter_consumers.billing.amounts import CENT
from taximeter_consumers.billing.lines import Kind, Line, sum_of
from taximeter_consumers.billing.wording import dollars, price_text, quantity_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from taximeter_consumers.billing.invoice import Draft, Invoice
    from taximeter_consumers.billing.lines import Key

_TOTALS: Final = (
    (Kind.USAGE, "Usage"),
    (Kind.LATE, "Late usage of earlier periods"),
    (Kind.PLAN, "Plan"),
    (Kind.ALLOWANCE, "Included in the plan"),
    (Kind.ADD_ON, "Add-ons"),
    (Kind.CARRIED, "Carried forward"),
    (Kind.CREDIT, "Credits"),
    (Kind.ROUNDING, "Rounding"),
)


@dataclass(frozen=True)
class Row:
    """One line: what it is for, how much, at what price, what it comes to."""

    what: str
    quantity: str
    price: str
    amount: str
    is_lacking: bool = False


@dataclass(frozen=True)
class Section:
    """Rows that belong together."""

    title: str
    rows: Sequence[Row]
    subtotal: str


@dataclass(frozen=True)
class Page:
    """All texts of an invoice. `notes` say what a reader should know of the sums."""

    title: str
    status: str
    facts: Sequence[tuple[str, str]]
    bill_to: Sequence[str]
    sections: Sequence[Section]
    totals: Sequence[tuple[str, str]]
    due: str
    due_label: str
    notes: Sequence[str]
    digest: str


def page_of(invoice: Invoice) -> Page:
    """The page of an invoice."""
    draft = invoice.draft
    due = invoice.due_usd
    return Page(
        title=f"Invoice {invoice.invoice_id}",
        status=invoice.status,
        facts=[
            ("Invoice number", invoice.invoice_id),
            ("Issued", _day(invoice.issued_at.astimezone(UTC))),
            ("Billing period", _span(draft)),
            ("Account", draft.account_id),
        ],
        bill_to=_bill_to(draft),
        sections=_sections(draft.lines, draft.period.label),
        totals=_totals(draft.lines),
        due=dollars(due, places=2),
        due_label="Balance in your favour, carried to the next invoice" if due < 0 else "Amount due (USD)",
        notes=_notes(draft),
        digest=invoice.digest,
    )


def _sections(lines: Sequence[Line], period: str) -> list[Section]:
    usage = [line for line in lines if line.kind is Kind.USAGE]
    late = [line for line in lines if line.kind is Kind.LATE]
    fees = [line for line in lines if line.key is None and line.kind is not Kind.ROUNDING]
    sections = _grouped(usage, lambda key: key.workflow_id, lambda name: f"Workflow {name}" if name else "No workflow")
    for label, of_period in groupby(late, key=lambda line: line.period):
        sections.append(
            _section(f"Late usage of {label}, not on an earlier invoice", list(of_period), with_workflow=True)
        )
    if fees:
        sections.append(_section(f"Plan, add-ons and credits for {period}", fees))
    return sections


def _grouped(lines: Iterable[Line], by: Callable[[Key], str], title: Callable[[str], str]) -> list[Section]:
    keyed = [(by(line.key), line) for line in lines if line.key is not None]
    return [
        _section(title(name), [line for _, line in group]) for name, group in groupby(keyed, key=lambda pair: pair[0])
    ]


def _section(title: str, lines: Sequence[Line], *, with_workflow: bool = False) -> Section:
    return Section(title, [_row(line, with_workflow=with_workflow) for line in lines], dollars(sum_of(lines)))


def _row(line: Line, *, with_workflow: bool) -> Row:
    key = line.key
    if key is None:
        what = line.text or line.kind.value
        named = line.reference if line.kind in (Kind.CARRIED, Kind.CREDIT) else ""
        return Row(f"{what} ({named})" if named else what, "", "", dollars(line.amount_usd))
    what = _subject(key)
    if with_workflow and key.workflow_id:
        what = f"{what}, workflow {key.workflow_id}"
    lacking = key.source in ("unpriced", "unmeasured")
    amount = "not billed" if lacking and not line.amount_usd else dollars(line.amount_usd)
    return Row(what, quantity_text(line.quantity, key.unit), price_text(key), amount, lacking)


def _subject(key: Key) -> str:
    if key.provider == "resource":
        return "Resources"
    what = f"Plugin {key.model}" if key.provider == "plugin" else " / ".join(filter(None, (key.provider, key.model)))
    tier = f" ({key.service_tier})" if key.service_tier not in ("", "standard") else ""
    return f"{what}{tier}"


def _totals(lines: Sequence[Line]) -> list[tuple[str, str]]:
    present = {line.kind for line in lines}
    return [
        (words, dollars(sum_of([line for line in lines if line.kind is kind])))
        for kind, words in _TOTALS
        if kind in present
    ]


def _notes(draft: Draft) -> list[str]:
    notes = []
    for source, words in (("unpriced", "no known price"), ("unmeasured", "no known use")):
        events = _uses(draft.lines, source)
        if events > 0:
            said = "use has {} and is" if events == 1 else "uses have {} and are"
            notes.append(f"{events:,} {said.format(words)} not in the sum.")
    if any(line.amount_usd % CENT for line in draft.lines):
        notes.append("Amounts are shown to six decimal places; the sum is exact and rounded to cents once, at the end.")
    return notes


def _uses(lines: Sequence[Line], source: str) -> int:
    """How many uses of a source there are. A call has a line for each of its units: the one with most uses counts."""
    most: dict[tuple[str, ...], int] = {}
    for line in lines:
        if line.key is not None and line.key.source == source:
            key = (line.period, line.key.workflow_id, line.key.provider, line.key.model, line.key.service_tier)
            most[key] = max(most.get(key, 0), line.events)
    return sum(most.values())


def _bill_to(draft: Draft) -> list[str]:
    terms = json.loads(draft.settings)["terms"]
    lines = [terms["name"] or draft.account_id, *terms["address"].splitlines()]
    return [line.strip() for line in lines if line.strip()]


def _span(draft: Draft) -> str:
    """First and last day, both inclusive, in the account's time zone."""
    zone = ZoneInfo(json.loads(draft.settings)["terms"]["time_zone"])
    first = draft.period.starts_at.astimezone(zone)
    last = (draft.period.ends_at - timedelta(microseconds=1)).astimezone(zone)
    return f"{_day(first)} to {_day(last)} ({zone.key})"


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y}"
