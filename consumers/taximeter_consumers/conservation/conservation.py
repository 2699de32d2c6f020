"""The audit of the money: every rollup and every invoice against the stored events, account by account.

Accounts are taken in lots, in order, so that memory stays bounded however many there are. Reads only, but for the
compiled price book, which the next tick would store as well; an interrupt leaves nothing behind. It may run beside
sinks and ticks: what they are at is in flight, and not judged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from taximeter_consumers.audit.balance import Finding, Severity
from taximeter_consumers.conservation import findings, flight, invoice_rows
from taximeter_consumers.conservation.due import Due, due
from taximeter_consumers.conservation.hours import PAIRS, Hour, part_of, sides, sums_of
from taximeter_consumers.conservation.invoiced import PAIR, has_invoices, read_billed
from taximeter_consumers.conservation.keyed import Keyed, compared, comparisons
from taximeter_consumers.conservation.measures import COST, COUNTERS, Gap, Place, Values, compare
from taximeter_consumers.conservation.not_billed import not_billed
from taximeter_consumers.conservation.table import Table, shown_of
from taximeter_consumers.pricing.cards import current_book
from taximeter_consumers.retention.horizon import kept_from

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.conservation.scope import MoneyScope
    from taximeter_consumers.pricing.cards import Book

Progress = Callable[[str, int], None]
"""What is done now, and how many accounts are done."""

# A lot of accounts ends with this many hours or accounts, whichever comes first.
_LOT_HOURS: Final = 20_000
_LOT_ACCOUNTS: Final = 500
# So many gaps are kept; how many there are is counted.
MOST_GAPS: Final = 10_000

_ACCOUNTS: Final = """
SELECT account_id, max(hours) FROM (
    SELECT account_id, uniq(toStartOfHour(occurred_at)) AS hours FROM stored_events GROUP BY account_id
    UNION ALL SELECT account_id, uniq(toStartOfHour(minute)) FROM usage_by_subject GROUP BY account_id
    UNION ALL SELECT DISTINCT account_id, 1 FROM run_costs
    UNION ALL SELECT DISTINCT account_id, 1 FROM node_costs
    UNION ALL SELECT DISTINCT account_id, 1 FROM model_costs
    UNION ALL SELECT DISTINCT account_id, 1 FROM quota_usage
    UNION ALL SELECT DISTINCT account_id, 1 FROM transaction_usage
    UNION ALL SELECT DISTINCT account_id, 1 FROM charges{invoices}
)
GROUP BY account_id ORDER BY account_id
"""


@dataclass
class PairReport:
    """One comparison: of how many places, how many of them are open, and both sums."""

    name: str
    kind: str
    places: int = 0
    open: int = 0
    left: dict[str, int] = field(default_factory=dict)
    right: dict[str, int] = field(default_factory=dict)

    def add(self, left: Values, right: Values) -> None:
        """Takes both sides of one or of many places into the sums."""
        for sums, values in ((self.left, left), (self.right, right)):
            for name, value in values.items():
                sums[name] = sums.get(name, 0) + value


@dataclass
class MoneyReport:
    """The outcome. `holds` is what the exit code says."""

    scope: MoneyScope
    table: Table = field(default_factory=Table)
    pairs: dict[str, PairReport] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    gaps_found: int = 0
    in_flight: int = 0
    accounts: int = 0
    due: list[Due] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether all sides agree, as far as they are at rest, and all that was stored is rolled up."""
        return not self.gaps_found and all(finding.severity is Severity.NOTE for finding in self.findings)

    def pair(self, name: str, kind: str) -> PairReport:
        """The comparison of that name."""
        return self.pairs.setdefault(name, PairReport(name, kind))


class MoneyAudit:
    """One audit of the money over an open connection."""

    def __init__(self, clickhouse: ClickHouse, scope: MoneyScope) -> None:
        self._clickhouse = clickhouse
        wanted = scope.in_hours()
        # Before it rollups are frozen, and have no events to be held against.
        self._scope = wanted.kept_from(kept_from(clickhouse))
        self._report = MoneyReport(self._scope)
        if self._scope != wanted and self._scope.since is not None:
            self._report.findings.append(findings.of_retention(self._scope.since))

    def run(self, progress: Progress = lambda _what, _done: None) -> MoneyReport:
        """Raises Retryable when ClickHouse is away."""
        report, scope = self._report, self._scope
        begin = flight.Mark.now(self._clickhouse)
        at_rest = flight.pending(self._clickhouse, begin)
        current = current_book(self._clickhouse)
        # The rollups are as good as the prices that they know; that there are newer ones is told apart.
        book = replace(current, version=begin.book_version) if begin.book_version else current
        billing = has_invoices(self._clickhouse)
        for lot in self._lots(billing):
            progress("hours", report.accounts)
            self._by_hour(book, lot, begin)
            for keyed in comparisons(book, scope):
                progress(keyed.name, report.accounts)
                self._by_key(keyed, lot, begin)
            if billing:
                progress("invoices", report.accounts)
                self._invoices(book, lot)
                self._report.findings += not_billed(self._clickhouse, scope, lot, begin.time)
            report.accounts += len(lot)
        report.findings += invoice_rows.of_numbers(self._clickhouse) if billing else [findings.NO_BILLING]
        end = flight.Mark.now(self._clickhouse)
        left = flight.pending(self._clickhouse, begin)
        report.findings += findings.of_flight(begin, end, at_rest, left, report.in_flight)
        report.findings += findings.of_book(end.book_version, current.version, report.table.hours)
        for name, pair in sorted(report.pairs.items()):
            report.table.digest_of([name, pair.places, *map(str, [*pair.left.items(), *pair.right.items()])])
        return report

    def _lots(self, billing: bool) -> Iterator[list[str]]:
        """Accounts in order, so many at a time that what is asked of them stays bounded."""
        if self._scope.account is not None:
            yield [self._scope.account]
            return
        invoices = "\n    UNION ALL SELECT DISTINCT account_id, 1 FROM stored_invoices" if billing else ""
        lot: list[str] = []
        hours = 0
        for account, count in self._clickhouse.rows(_ACCOUNTS.replace("{invoices}", invoices)):
            if lot and (hours + count > _LOT_HOURS or len(lot) == _LOT_ACCOUNTS):
                yield lot
                lot, hours = [], 0
            lot.append(account)
            hours += count
        if lot:
            yield lot

    def _by_hour(self, book: Book, accounts: Sequence[str], begin: flight.Mark) -> None:
        found = {side.name: sums_of(self._clickhouse, side, self._scope, accounts) for side in sides(book, self._scope)}
        hours = sorted(set().union(*found.values()))
        at_hours = {hour: {name: sums.get(hour, {}) for name, sums in found.items()} for hour in hours}
        gaps = [gap for hour, at_hour in at_hours.items() for gap in self._compare_hour(hour, at_hour)]
        standing = self._standing(gaps, accounts, begin)
        open_at = Counter((gap.place.account_id, gap.place.key) for gap in standing)
        for (account, hour), at_hour in at_hours.items():
            # How many copies there are is not what is conserved: merges take them away.
            sums = {**at_hour, "rows": {name: at_hour["rows"].get(name, 0) for name in COUNTERS}}
            self._report.table.add(account, hour, sums, shown_of(at_hour, open_at[account, hour.isoformat()]))
        for name, _ in {(gap.pair, gap.place) for gap in standing}:
            self._report.pairs[name].open += 1

    def _compare_hour(self, hour: Hour, at_hour: dict[str, Values]) -> list[Gap]:
        account, begins = hour
        gaps: list[Gap] = []
        for pair in PAIRS:
            left, right = part_of(at_hour[pair.left], pair.of), at_hour[pair.right]
            if not any(left.values()) and not any(right.values()):
                continue
            told = self._report.pair(pair.name, "hour")
            told.places += 1
            told.add(*({name: side.get(name, 0) for name in pair.measures} for side in (left, right)))
            gaps += compare(pair.name, Place(account, "hour", begins.isoformat()), left, right, pair.measures)
        return gaps

    def _by_key(self, keyed: Keyed, accounts: Sequence[str], begin: flight.Mark) -> None:
        done = compared(self._clickhouse, keyed, self._scope, accounts)
        named = {gap.place for gap in done.gaps}
        standing = {gap.place for gap in self._standing(done.gaps, accounts, begin)}
        told = self._report.pair(keyed.name, keyed.kind)
        told.places += done.keys
        told.open += done.open - len(named - standing)
        told.add(done.left, done.right)
        if done.open > len(named):
            self._report.findings.append(findings.of_more_gaps(keyed, done.open, len(named)))

    def _standing(self, gaps: Sequence[Gap], accounts: Sequence[str], begin: flight.Mark) -> list[Gap]:
        """The gaps that stand, which are kept; those in flight are counted."""
        standing, flying = flight.settled(self._clickhouse, gaps, accounts, begin)
        self._report.in_flight += len({gap.place for gap in flying})
        self._keep(standing)
        return standing

    def _invoices(self, book: Book, accounts: Sequence[str]) -> None:
        billed = read_billed(self._clickhouse, self._scope, accounts)
        told = self._report.pair(PAIR, "period")
        told.places += len(billed.periods)
        told.add({COST: sum(billed.charges.values())}, {COST: sum(billed.lines.values())})
        gaps = []
        for period, gap in billed.open_periods():
            late = due(self._clickhouse, book, period, gap)
            if late is not None:
                self._report.due.append(late)
            else:
                gaps.append(gap)
        told.open += len(gaps)
        self._keep(gaps)
        self._report.findings += invoice_rows.of_content(self._clickhouse, accounts)

    def _keep(self, gaps: Sequence[Gap]) -> None:
        self._report.gaps_found += len(gaps)
        self._report.gaps += gaps[: MOST_GAPS - len(self._report.gaps)]
