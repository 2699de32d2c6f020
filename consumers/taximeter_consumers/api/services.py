"""What the routes need, made once by whoever starts the API and handed to `create_app`; there are no globals.

ClickHouse need not be there when the API starts: the connection is made by the first request that wants it, and again
by the next one where it could not be made.
"""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from taximeter_consumers.api import key_store
from taximeter_consumers.api.key_cache import KeyCache
from taximeter_consumers.api.metrics import Metrics
from taximeter_consumers.api.pace import Pace
from taximeter_consumers.api.readiness import Readiness
from taximeter_consumers.api.reads.books import Books
from taximeter_consumers.api.recent import Recent
from taximeter_consumers.api.settings import ApiSettings
from taximeter_consumers.clickhouse import connect
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Callable

    from taximeter_consumers.api.ports import EventSender, QuotaAsker
    from taximeter_consumers.api.readiness import SinkLag
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.pricing.estimate import PricedModel
    from taximeter_consumers.quota.plans.directory import Directory
    from taximeter_schemas.settings import ClickHouseSettings

T = TypeVar("T")
# A thread that finds no kept socket opens one, and throws it away: FastAPI's 40 threads and our 32.
_SOCKETS = 72


class Source:
    """A connection that is made when it is first wanted; all threads share it."""

    def __init__(self, open_one: Callable[[], ClickHouse]) -> None:
        self._open = open_one
        self._lock = Lock()
        self._connection: ClickHouse | None = None

    def get(self) -> ClickHouse:
        """The connection. Raises Retryable where ClickHouse is away and was never there, and Misconfigured."""
        if self._connection is None:
            with self._lock:
                if self._connection is None:
                    self._connection = self._open()
        return self._connection

    def close(self) -> None:
        """Closes the sockets; the next `get` opens again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


@dataclass(frozen=True)
class Services:
    """`reads` is for questions, with limits on each; `exports` for long streams. `workers` ask what a route asks beside
    what its own thread asks; they hand on no work themselves. `now` gives UTC.

    `writes` is for settings of quotas, `events` puts events into Kafka, `quota` asks the quota service. A route that
    needs one which nobody put in refuses, and says so.
    """

    reads: Source
    exports: Source
    keys: KeyCache
    readiness: Readiness
    settings: ApiSettings = field(default_factory=ApiSettings)
    metrics: Metrics = field(default_factory=Metrics)
    books: Books = field(default_factory=Books)
    workers: Executor = field(default_factory=lambda: ThreadPoolExecutor(32, "reads"))
    models: Recent[list[PricedModel]] = field(default_factory=lambda: Recent(monotonic, seconds=30.0, most=8))
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    calls: Recent[dict[str, int]] = field(default_factory=lambda: Recent(monotonic, seconds=30.0, most=1))
    directories: Recent[Directory] = field(default_factory=lambda: Recent(monotonic, seconds=2.0, most=1))
    simulations: Pace = field(default_factory=lambda: Pace(monotonic, 30))
    writes: Source | None = None
    events: EventSender | None = None
    quota: QuotaAsker | None = None

    @property
    def to_write(self) -> Source:
        """A connection that may write. Raises Misconfigured."""
        return _there(self.writes, "connection to ClickHouse that may write")

    @property
    def sender(self) -> EventSender:
        """Where events go. Raises Misconfigured."""
        return _there(self.events, "connection to Kafka")

    @property
    def asker(self) -> QuotaAsker:
        """The quota service. Raises Misconfigured."""
        return _there(self.quota, "connection to the quota service")

    def close(self) -> None:
        """Lets go of all connections; to be called when nobody asks any more."""
        self.workers.shutdown()
        for source in (self.reads, self.exports, self.writes):
            with suppress(OSError):
                if source is not None:
                    source.close()
        for other in (self.events, self.quota):
            if other is not None:
                other.close()
        self.readiness.close()


def _there(found: T | None, what: str) -> T:
    if found is None:
        raise Misconfigured(f"this API was started without a {what}", mend="start it by `taximeter api`")
    return found


def services_of(
    clickhouse: ClickHouseSettings,
    settings: ApiSettings,
    sink: SinkLag | None = None,
    *,
    events: EventSender | None = None,
    quota: QuotaAsker | None = None,
) -> Services:
    """The services over one ClickHouse, and Kafka and the quota service if they are given. Connects to nothing yet."""
    reads = Source(
        lambda: connect(
            clickhouse, timeout_seconds=settings.query_seconds + 10, options=settings.read_options, sockets=_SOCKETS
        )
    )
    exports = Source(
        lambda: connect(clickhouse, timeout_seconds=settings.query_seconds + 100, options=settings.export_options)
    )
    keys = KeyCache(lambda key_id: key_store.find(reads.get(), key_id), monotonic, seconds=settings.key_cache_seconds)
    return Services(
        reads,
        exports,
        keys,
        Readiness(reads, sink, settings, monotonic),
        settings,
        simulations=Pace(monotonic, settings.simulations_a_minute),
        writes=Source(lambda: connect(clickhouse, timeout_seconds=settings.query_seconds + 10)),
        events=events,
        quota=quota,
    )
