"""Whether the API is ready: its servers answer, and what waits moves.

`judge` is pure. A look asks ClickHouse and Kafka and is believed for a few seconds, so that many probes cost little.
Not ready is said where a server is away, where the rollups are far behind, and where records wait in Kafka and no
commit has come for a while: a pipeline that stands still is never called healthy.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING, Final, Protocol

from taximeter_consumers.rollups import rollup_lag_seconds
from taximeter_schemas.errors import TaximeterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from taximeter_consumers.api.services import Source
    from taximeter_consumers.api.settings import ApiSettings

_STORED: Final = """
SELECT if(count() = 0, -1, (toUnixTimestamp64Micro(now64(6)) - toUnixTimestamp64Micro(max(stored_at))) / 1e6)
FROM stored_ingest_batches WHERE stored_at > now64(6) - INTERVAL {hours:UInt32} HOUR
"""
# What was stored lately is found at once; only where there is nothing, the whole ledger is looked through.
_LATELY_HOURS: Final = 1
_EVER_HOURS: Final = 24 * 365 * 50
BELIEVED_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Unread:
    """Where the sinks' group stands: records that it has not committed, and by partition what it has."""

    records: int
    committed: Mapping[int, int]


class SinkLag(Protocol):
    """Looks at the log with the eyes of the sinks' group."""

    def look(self) -> Unread:
        """Raises Retryable or Misconfigured where Kafka does not answer."""

    def close(self) -> None:
        """Lets go of the connections."""


@dataclass(frozen=True)
class Facts:
    """What a look saw; None where it could not look. `has_kafka`: whether there is one to look at."""

    clickhouse: bool = False
    rollup_lag_seconds: float | None = None
    last_stored_seconds: float | None = None
    unread: Unread | None = None
    has_kafka: bool = False


@dataclass(frozen=True)
class Standstill:
    """Since when (monotonic seconds) records have waited while nothing was committed; None where nothing waits."""

    since: float | None = None
    committed: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """The answer; `reasons` say why not."""

    is_ready: bool
    reasons: tuple[str, ...]
    facts: Facts


def standstill(before: Standstill, unread: Unread | None, now: float) -> Standstill:
    """What is known of a standstill after a look. Pure."""
    if unread is None:
        return before
    if unread.records == 0:
        return Standstill(None, unread.committed)
    moved = unread.committed != before.committed
    return Standstill(now if moved or before.since is None else before.since, unread.committed)


def judge(facts: Facts, still: Standstill, now: float, settings: ApiSettings) -> Verdict:
    """Whether that is ready. Pure."""
    reasons = []
    if not facts.clickhouse:
        reasons.append("ClickHouse does not answer")
    elif facts.rollup_lag_seconds is not None and facts.rollup_lag_seconds > settings.most_rollup_lag_seconds:
        reasons.append("the rollups are far behind: look at `taximeter aggregate --follow`")
    if facts.has_kafka and facts.unread is None:
        reasons.append("Kafka does not answer")
    if still.since is not None and now - still.since > settings.stall_seconds:
        reasons.append("records wait in Kafka and no sink commits: look at `taximeter sink`")
    return Verdict(not reasons, tuple(reasons), facts)


class Readiness:
    """Looks, and remembers when something last moved. Threads share it; one looks at a time."""

    def __init__(self, reads: Source, sink: SinkLag | None, settings: ApiSettings, clock: Callable[[], float]) -> None:
        self._reads = reads
        self._sink = sink
        self._settings = settings
        self._clock = clock
        self._still = Standstill()
        self._last: tuple[float, Facts] | None = None
        self._lock = Lock()

    def verdict(self) -> Verdict:
        """The answer of now."""
        with self._lock:
            now = self._clock()
            if self._last is None or now - self._last[0] > BELIEVED_SECONDS:
                facts = self._look()
                self._last = (self._clock(), facts)
                self._still = standstill(self._still, facts.unread, now)
            return judge(self._last[1], self._still, now, self._settings)

    def close(self) -> None:
        """Lets go of Kafka."""
        if self._sink is not None:
            self._sink.close()

    def _look(self) -> Facts:
        facts = Facts(has_kafka=self._sink is not None)
        try:
            clickhouse = self._reads.get()
            looks = (float(clickhouse.scalar(_STORED, {"hours": hours})) for hours in (_LATELY_HOURS, _EVER_HOURS))
            stored = next((seconds for seconds in looks if seconds >= 0), None)
            lag = rollup_lag_seconds(clickhouse)
            facts = replace(facts, clickhouse=True, rollup_lag_seconds=lag, last_stored_seconds=stored)
        except TaximeterError:
            pass
        try:
            return replace(facts, unread=self._sink.look()) if self._sink is not None else facts
        except TaximeterError:
            return facts
