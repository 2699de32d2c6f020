"""Facts that somebody waits for: asked at once, and within a bounded time told to be unavailable.

A load that is lost with its process is asked again: whoever restores the partition finds who is parked.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taximeter_consumers.quota.service.desk import Desk, Line
from taximeter_consumers.quota.truth.truth import Truth
from taximeter_schemas.quota.commands import Facts

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.quota.service.counters import QuotaCounters
    from taximeter_consumers.quota.service.replies import Replies
    from taximeter_consumers.quota.service.settings import QuotaSettings
    from taximeter_schemas.settings import ClickHouseSettings


@dataclass(frozen=True)
class Wanted:
    """Levels of a root whose facts are wanted, and the partition where it is decided."""

    partition: int
    root: str
    levels: frozenset[str]


class Loads:
    """`want` and `overdue` are the loop's; the asking is done by a desk of its own."""

    def __init__(
        self,
        clickhouse: ClickHouseSettings,
        settings: QuotaSettings,
        replies: Replies,
        counters: QuotaCounters,
        complete_until: Callable[[], int],
    ) -> None:
        self._replies = replies
        self._counters = counters
        self._complete_until = complete_until
        self._timeout_seconds = settings.facts_timeout_seconds
        self._truth: tuple[ClickHouse, Truth] | None = None
        self._lock = threading.Lock()
        self._deadlines: dict[Wanted, float] = {}
        line = Line(clickhouse, settings.facts_timeout_seconds, settings.facts_retry_seconds)
        self._desk: Desk[Wanted] = Desk("quota-loads", line, self._answer, self._refuse)

    @property
    def waiting(self) -> int:
        """How many are under way."""
        return len(self._deadlines)

    def want(self, wanted: Wanted) -> None:
        """Asks, unless it is asked already."""
        with self._lock:
            if wanted in self._deadlines:
                return
            self._deadlines[wanted] = time.monotonic() + self._timeout_seconds
        self._desk.ask(wanted)

    def overdue(self, owned: Container[int]) -> None:
        """Tells those who have waited long enough that the facts are unavailable. Where other partitions than the
        `owned` ones are decided by now, their owners ask anew, and nothing is told from here."""
        now = time.monotonic()
        with self._lock:
            for wanted in [wanted for wanted in self._deadlines if wanted.partition not in owned]:
                del self._deadlines[wanted]
            late = [wanted for wanted, deadline in self._deadlines.items() if now >= deadline]
        if late:
            self._refuse(late, "ClickHouse did not answer in time")

    def close(self, timeout_seconds: float) -> None:
        """Ends the asking."""
        self._desk.close(timeout_seconds)

    def _answer(self, clickhouse: ClickHouse, questions: Sequence[Wanted]) -> None:
        if self._truth is None or self._truth[0] is not clickhouse:
            self._truth = (clickhouse, Truth(clickhouse, self._complete_until))
        by_root: dict[str, set[str]] = {}
        for wanted in questions:
            by_root.setdefault(wanted.root, set()).update(wanted.levels)
        for root, levels in by_root.items():
            # Levels that nobody named before hold nothing, so that no transaction is asked about; what is visible of
            # the others stays as the last tick said, which counts too much for a moment and never too little.
            self._replies.facts(self._truth[1].facts_for(root, levels, (), time.time_ns() // 1_000))
            self._done([wanted for wanted in questions if wanted.root == root])

    def _refuse(self, questions: Sequence[Wanted], reason: str) -> None:
        del reason
        for wanted in self._done(questions):
            self._counters.unavailable += 1
            now = time.time_ns() // 1_000
            self._replies.facts(Facts(root=wanted.root, as_of=now, unavailable=tuple(sorted(wanted.levels))))

    def _done(self, questions: Sequence[Wanted]) -> list[Wanted]:
        """Those that were still waited for."""
        with self._lock:
            return [wanted for wanted in questions if self._deadlines.pop(wanted, None) is not None]
