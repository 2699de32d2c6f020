"""The truth about use: what ClickHouse knows of roots, their levels and their transactions, as `Facts`. It only reads.

The order of reading is what keeps quotas from counting too little. First how far the rollups are complete; then what
has changed; then what transactions show, and what has changed again by then; the use itself last. Ticks write in the
other order. So what is shown of a transaction is in the use that comes with it, sums that are kept included, and what
changes meanwhile is found by the next look. The time that facts bear (`as_of`) is taken between what transactions show
and the use: so the use of later facts includes what earlier ones showed, also where two look at once.

One look is a handful of queries, however many roots there are. It reads use only of roots whose accounts have used
something since, whose rules have changed or begun a new window, or of which a level or a transaction is new; and of
each root once in ten minutes, whatever happens. A look that fails leaves nothing behind: the next one finds the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final
from zlib import crc32

from taximeter_consumers.quota.plans.inquiry import Inquiry, inquiry
from taximeter_consumers.quota.plans.named_level import Level, level_of
from taximeter_consumers.quota.plans.setting_rows import Stamp, read_directory, stamp
from taximeter_consumers.quota.truth.changes import LOOKED_BACK, Seen, look
from taximeter_consumers.quota.truth.heads import Heads
from taximeter_consumers.quota.truth.known import Known
from taximeter_consumers.quota.truth.runs import read_runs
from taximeter_consumers.quota.truth.shown import Shown, read_shown
from taximeter_consumers.quota.truth.usage import Values, sums_of
from taximeter_schemas.quota.commands import Facts

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.quota.plans.directory import Directory

__all__ = ["Known", "Truth"]

# A root is read anew after this long at the latest, the roots one after the other. Less than LOOKED_BACK, so that
# nothing that a look can overlook stays overlooked.
_REFRESH: Final = LOOKED_BACK // 2
# So often a root with open transactions is told how far the events are complete, though nothing else has changed.
_COMPLETE_EVERY: Final = 10_000_000
_NOW: Final = "SELECT toUnixTimestamp64Micro(now64(6))"


@dataclass(frozen=True)
class _Given:
    """What was told of a root last."""

    known: Known
    asked: Inquiry
    stamp: Stamp
    refresh_at: int
    complete_until: int


@dataclass(frozen=True)
class _Look:
    """The circumstances of a look: when it began, by the server's clock, how far the events are complete, the time of
    the log."""

    as_of: int
    complete_until: int
    now: int


def _never() -> int:
    return 0


class Truth:
    """Reads facts. One object for each owner process; used by one thread at a time.

    `complete_until` is called before anything else of a look is read: the instant (Unix microseconds) for which
    `Barriers.complete_until(RolledUp(...).offsets())` of rolled_up.py says that the rollups have everything.
    """

    def __init__(self, clickhouse: ClickHouse, complete_until: Callable[[], int] = _never) -> None:
        self._clickhouse = clickhouse
        self._complete_until = complete_until
        self._stamp: Stamp | None = None
        self._directory: Directory | None = None
        self._assigned: tuple[int, Mapping[str, frozenset[str]]] = (0, {})
        self._seen = Seen()
        self._heads = Heads()
        self._given: dict[str, _Given] = {}

    def facts_for(self, root: str, levels: Collection[str], transactions: Collection[str], now_us: int) -> Facts:
        """What is known of one root now, at once: of exactly these levels and transactions. `now_us` is the time of the
        log, by which windows are chosen. Raises Retryable when ClickHouse is away, Misconfigured; ValueError for what
        is no root."""
        at = self._begin(now_us)
        directory = self._settings()
        asked = inquiry(directory, level_of(root), levels, now_us)
        # With sums of its own: those that are kept are right only after a look at what has changed.
        return self._read(at, {root: asked}, {root: frozenset(transactions)}, (Heads(), None))[0]

    def changed(self, known: Mapping[str, Known], owns: Callable[[str], bool], now_us: int) -> list[Facts]:
        """A tick over all owned roots: facts of those whose use, rules or open transactions changed since the last
        call, the first time all. `known`: by root what the machine has; `owns(root)` says of any other root whether it
        is decided here: those with an assignment come as well. Raises Retryable (nothing is lost: call again)."""
        at = self._begin(now_us)
        directory = self._settings()
        accounts, seen = look(self._clickhouse, self._seen, at.as_of)
        self._heads.changed(accounts)
        roots = self._roots(known, owns, now_us)
        used = {root.key for name in accounts for root in _roots_of(name, directory, now_us)}
        due: dict[str, Inquiry] = {}
        for root, wanted in roots.items():
            given = self._given.get(root)
            if given is not None and self._holds(given, wanted, now_us):
                asked = replace(given.asked, now=now_us)
            else:
                asked = inquiry(directory, level_of(root), wanted.levels, now_us)
            if given is None or root in used or _is_due(given, wanted, at) or asked.differs(given.asked):
                due[root] = asked
            elif given.asked.until != asked.until or given.stamp != self._stamp:
                self._given[root] = replace(given, asked=asked, stamp=self._stamp or ())
        facts = self._read(at, due, {root: roots[root].transactions for root in due}, (self._heads, seen))
        self._seen = seen
        told = {root: self._told(roots[root], asked, at) for root, asked in due.items()}
        # Roots that are decided elsewhere by now are forgotten: should they come back, they are told anew.
        self._given = {root: one for root, one in (self._given | told).items() if root in roots}
        return facts

    def _begin(self, now_us: int) -> _Look:
        complete = self._complete_until()
        return _Look(int(self._clickhouse.scalar(_NOW)), complete, now_us)

    def _settings(self) -> Directory:
        """The directory as it is: read again only when something was appended."""
        found = stamp(self._clickhouse)
        if self._directory is None or found != self._stamp:
            self._directory, self._stamp, self._assigned = read_directory(self._clickhouse), found, (0, {})
        return self._directory

    def _roots(self, known: Mapping[str, Known], owns: Callable[[str], bool], now: int) -> dict[str, Known]:
        directory = self._settings_read()
        until, assigned = self._assigned
        if now >= until:
            found = directory.assigned(now)
            assigned = {root.key: frozenset(level.key for level in levels) for root, levels in found.items()}
            # Billing periods begin at midnights, which are whole quarters of an hour.
            self._assigned = (min(directory.next_change(now), now - now % 900_000_000 + 900_000_000), assigned)
        roots = {root: Known(levels) for root, levels in assigned.items() if root in known or owns(root)}
        for root, one in known.items():
            roots[root] = Known(one.levels | roots.get(root, Known()).levels, one.transactions)
        return roots

    def _settings_read(self) -> Directory:
        return self._directory or self._settings()

    def _read(
        self,
        at: _Look,
        due: Mapping[str, Inquiry],
        transactions: Mapping[str, Collection[str]],
        kept: tuple[Heads, Seen | None],
    ) -> list[Facts]:
        """What transactions show first, the use last: see above. `kept`: sums, and when it was seen what changed in
        them (None: they are new)."""
        directory, (heads, seen) = self._settings_read(), kept
        accounts = {root: asked.accounts(directory) for root, asked in due.items() if transactions[root]}
        shown = read_shown(self._clickhouse, _all(accounts.values()), _all(transactions.values()))
        if shown and seen is not None:
            # By a tick that came since: its use may lie where sums are kept. The next look finds it once more.
            heads.changed(look(self._clickhouse, seen, at.as_of)[0])
        as_of = int(self._clickhouse.scalar(_NOW)) if due else at.as_of
        meters = {meter for asked in due.values() for meter in asked.meters}
        runs = read_runs(self._clickhouse, (run for asked in due.values() for run in asked.runs), meters)
        parts = [part for asked in due.values() for part in asked.parts(directory)]
        used = heads.read(self._clickhouse, parts, meters, at.now, at.as_of)
        return [
            Facts(
                root=root,
                as_of=as_of,
                complete_until=at.complete_until,
                levels={key: asked.facts(key, directory, used, runs) for key in asked.rules},
                visible=_visible(accounts.get(root, set()), transactions[root], shown),
                unavailable=asked.broken,
                moved_to=asked.moved_to,
            )
            for root, asked in due.items()
        ]

    def _told(self, known: Known, asked: Inquiry, at: _Look) -> _Given:
        refresh_at = at.as_of + _REFRESH // 2 + crc32(asked.root.key.encode()) * 1000 % (_REFRESH // 2)
        return _Given(known, asked, self._stamp or (), refresh_at, at.complete_until)

    def _holds(self, given: _Given, wanted: Known, now: int) -> bool:
        """Whether the rules that were told are still those of now."""
        return given.stamp == self._stamp and now < given.asked.until and wanted.levels == given.known.levels


def _is_due(given: _Given, wanted: Known, at: _Look) -> bool:
    """Whether a root must be told anew though none of its accounts has used anything."""
    return (
        at.as_of >= given.refresh_at
        or not wanted.levels <= given.known.levels
        or not wanted.transactions <= given.known.transactions
        or (bool(wanted.transactions) and at.complete_until >= given.complete_until + _COMPLETE_EVERY)
    )


def _roots_of(account_id: str, directory: Directory, now: int) -> Iterable[Level]:
    """The roots that an account's use counts for: its own, and the organisations that it belonged to."""
    return {directory.root_of(account_id, now), *directory.organisations_of(account_id)}


def _visible(accounts: Collection[str], transactions: Collection[str], shown: Shown) -> dict[str, dict[str, Decimal]]:
    # Also those that nothing is shown of: what showed something before may have been corrected away.
    found: dict[str, list[Values]] = {name: [] for name in transactions}
    for (account_id, transaction_id), values in shown.items():
        if account_id in accounts and transaction_id in found:
            found[transaction_id].append(values)
    return {name: dict(sums_of(values)) for name, values in found.items()}


def _all(collections: Iterable[Collection[str]]) -> set[str]:
    return {name for names in collections for name in names}
