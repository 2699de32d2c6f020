"""A run of invoices: closes billing periods, each for each account once.

Safe to run twice, by several processes at once, and after a kill at any step. The order is: claim a number, make the
content, store it. The content of an account's invoice is made only when all its lower numbers are issued, so that what
is late, and what is left of a credit, is billed once. A run first issues what an earlier one has claimed and left.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from taximeter_consumers.billing.draft import draft_for
from taximeter_consumers.billing.invoice import VOID, Draft, Invoice, has_own_lines, is_empty
from taximeter_consumers.billing.numbering import InvoiceKey, Numbers
from taximeter_consumers.billing.stored import find_invoice, invoices_of, issue, open_numbers
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from taximeter_consumers.billing.due import Due
    from taximeter_consumers.billing.settings import Settings
    from taximeter_consumers.clickhouse import ClickHouse


@dataclass
class RunReport:
    """What a run found and did: invoices that it issued, those that were there, and accounts that it had to leave."""

    issued: list[Invoice] = field(default_factory=list)
    existing: list[Invoice] = field(default_factory=list)
    refused: list[tuple[str, Misconfigured]] = field(default_factory=list)


class InvoiceRun:
    """One run, by the settings as they were read; `now` is when its invoices are issued."""

    def __init__(self, clickhouse: ClickHouse, settings: Settings, now: datetime, *, reissue: bool = False) -> None:
        self._clickhouse = clickhouse
        self.settings = settings
        self.now = now
        self._reissue = reissue
        self._numbers = Numbers(clickhouse)

    def preview(self, due: Iterable[Due]) -> list[Draft]:
        """What would be issued. Changes nothing."""
        drafts = []
        for one in due:
            earlier = invoices_of(self._clickhouse, one.account_id)
            revision = self._next_revision(one, earlier)
            if revision is not None:
                draft = draft_for(self._clickhouse, self.settings.of(one.account_id), one.label, earlier, revision)
                if _is_worth_it(draft, one):
                    drafts.append(draft)
        return drafts

    def issue(self, due: Iterable[Due]) -> RunReport:
        """Issues what is due and not issued yet; accounts whose settings do not allow it are left and named.

        Raises Retryable; then what was issued stays, and running again does the rest."""
        report = RunReport()
        self._finish_claimed(report)
        for one in due:
            try:
                self._issue_one(one, report)
            except Misconfigured as error:
                report.refused.append((one.account_id, error))
        return report

    def _finish_claimed(self, report: RunReport) -> None:
        # What is open first: a number that another run claims in between is its own to finish, and is not known yet.
        claimed = open_numbers(self._clickhouse)
        self._numbers.read()
        for number in claimed:
            account_id = self._numbers.key_of(number).account_id
            try:
                report.issued.append(self._complete(number))
            except Misconfigured as error:
                report.refused.append((account_id, error))

    def _issue_one(self, due: Due, report: RunReport) -> None:
        earlier = invoices_of(self._clickhouse, due.account_id)
        revision = self._next_revision(due, earlier)
        if revision is None:
            report.existing += [invoice for invoice in earlier if invoice.draft.period.label == due.label][-1:]
            return
        draft = draft_for(self._clickhouse, self.settings.of(due.account_id), due.label, earlier, revision)
        if _is_worth_it(draft, due):
            report.issued.append(self._complete(self._numbers.claim(InvoiceKey(due.account_id, due.label, revision))))

    def _complete(self, number: int) -> Invoice:
        """The invoice of a claimed number, issued now if it is not, and before it the account's lower numbers."""
        key = self._numbers.key_of(number)
        earlier = {invoice.number: invoice for invoice in invoices_of(self._clickhouse, key.account_id)}
        for lower in self._numbers.claimed_by(key.account_id):
            if lower < number and lower not in earlier:
                earlier[lower] = self._complete(lower)
        found = earlier.get(number) or find_invoice(self._clickhouse, number)
        if found is not None:
            return found
        before = [earlier[lower] for lower in sorted(earlier) if lower < number]
        settings = self.settings.of(key.account_id)
        draft = draft_for(self._clickhouse, settings, key.period, before, key.revision)
        return issue(self._clickhouse, number, draft, self.now)

    def _next_revision(self, due: Due, earlier: Sequence[Invoice]) -> int | None:
        """Which invoice of the period is to be made; None where there is one already."""
        of_period = [invoice for invoice in earlier if invoice.draft.period.label == due.label]
        if not of_period:
            return 0
        is_void = all(invoice.status == VOID for invoice in of_period)
        return len(of_period) if is_void and self._reissue else None


def _is_worth_it(draft: Draft, due: Due) -> bool:
    """An earlier period that was left open gets an invoice only for its own sake; what is late waits for the last."""
    return not is_empty(draft) if due.is_last else has_own_lines(draft)
