"""Looking at ClickHouse: whether it answers, what is stored and rolled up, what of it has no cost, what is rebuilt.

Each question has a time limit. Raises Retryable or Misconfigured where there is no answer.
"""

from __future__ import annotations

import time
from contextlib import closing
from threading import Lock
from typing import TYPE_CHECKING, Final

from taximeter_consumers.api.reads.known_calls import ESTIMATED, STATES, known_calls
from taximeter_consumers.clickhouse import ClickHouse, connect
from taximeter_consumers.rollups import rollup_lag_seconds
from taximeter_consumers.shadow import database, journal
from taximeter_consumers.shadow.pause import is_paused
from taximeter_infra.migrate import packaged, pending
from taximeter_infra.status.facts import Costs, Rebuilding, Server, Stored, Tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from taximeter_schemas.settings import ClickHouseSettings

_SECONDS: Final = 3.0
# What nobody waits for any more must not go on in the server.
_OPTIONS: Final = {"max_execution_time": 3}
_APPLIED: Final = "SELECT number, name, checksum FROM stored_migrations FINAL"
# The bound on arrival spares whole parts: it is how long a topic keeps records, unless told otherwise. What is stored
# of older ones is not seen here, but its commits are. The other bound spares columns of what is left.
_LEDGER: Final = """
SELECT kafka_partition, (toUnixTimestamp64Micro(now64(6)) - toUnixTimestamp64Micro(max(stored_at))) / 1e6,
    sumIf(records, stored_at > now64(6) - INTERVAL 10 SECOND)
FROM stored_ingest_batches
WHERE arrived_at > now64(3) - INTERVAL 9 DAY AND stored_at > now64(6) - INTERVAL 2 DAY AND kafka_topic = {topic:String}
GROUP BY kafka_partition
"""
_EVER: Final = "SELECT count() FROM (SELECT 1 FROM stored_ingest_batches WHERE kafka_topic = {topic:String} LIMIT 1)"
_TICKED: Final = """
SELECT max(tick), (toUnixTimestamp64Micro(now64(6)) - max(tick)) / 1e6, any(batch_id)
FROM stored_rolled_up_batches
WHERE tick = (SELECT max(tick) FROM stored_rolled_up_batches)
"""
_ARRIVED: Final = (
    "SELECT toUnixTimestamp64Milli(arrived_at) FROM stored_ingest_batches WHERE batch_id = {id:UInt64} LIMIT 1"
)
_RERATINGS: Final = """
SELECT count(), if(count() = 0, 0, (toUnixTimestamp64Micro(now64(6)) - toUnixTimestamp64Micro(min(at))) / 1e6)
FROM reprices WHERE step = 2
"""
_DECIDED: Final = """
SELECT uniqExact(dead_letter_partition, dead_letter_offset) FROM stored_dead_letter_actions
WHERE dead_letter_topic = {topic:String}
  AND dead_letter_offset
    >= transform(dead_letter_partition, {partitions:Array(Int32)}, {firsts:Array(Int64)}, toInt64(0))
"""
_EVENTS: Final = "stored_events"


class StoredEyes:
    """A look at each thing, over connections that are made when they are first wanted; threads share them."""

    def __init__(self, settings: ClickHouseSettings) -> None:
        self._settings = settings
        self._lock = Lock()
        self._server: ClickHouse | None = None
        self._database: ClickHouse | None = None

    def server(self) -> Server:
        """Whether it answers, whatever it stores."""
        with self._lock:
            if self._server is None:
                self._server = connect(self._settings, database="default", timeout_seconds=_SECONDS)
            server = self._server
        began = time.monotonic()
        return Server(server.version(), time.monotonic() - began)

    def decided(self, topic: str, firsts: Mapping[int, int]) -> int:
        """How many dead letters were redriven or dropped, of those that the topic still has: by partition from `firsts`
        on."""
        asked = {"topic": topic, "partitions": list(firsts), "firsts": list(firsts.values())}
        return int(self._connected().scalar(_DECIDED, asked))

    def tables(self) -> Tables:
        """Which migrations are applied."""
        applied = {number: (name, checksum) for number, name, checksum in self._connected().rows(_APPLIED)}
        return Tables([one.name for one in pending(packaged(), applied)])

    def stored(self, topic: str) -> Stored:
        """The ledger of a topic for the last two days, and how far the rollups are."""
        clickhouse = self._connected()
        ledger = clickhouse.rows(_LEDGER, {"topic": topic})
        ticked, tick_seconds, batch = clickhouse.rows(_TICKED)[0]
        arrived = clickhouse.rows(_ARRIVED, {"id": batch}) if ticked else []
        return Stored(
            stored_seconds={int(number): max(float(seconds), 0.0) for number, seconds, _ in ledger},
            long_ago=not ledger and bool(clickhouse.scalar(_EVER, {"topic": topic})),
            rate=sum(int(records) for _, _, records in ledger) / 10,
            rollup_lag_seconds=rollup_lag_seconds(clickhouse),
            tick_seconds=max(float(tick_seconds), 0.0) if ticked else None,
            freshness_seconds=max(ticked / 1e6 - arrived[0][0] / 1e3, 0.0) if arrived else None,
        )

    def costs(self) -> Costs:
        """How far the last day's costs are known."""
        calls = known_calls(self._connected())
        without = calls["unpriced"] + calls["unmeasured"]
        return Costs(sum(calls[state] for state in STATES), without, calls[ESTIMATED])

    def rebuilding(self) -> Rebuilding:
        """Shadows, swaps, re-ratings."""
        clickhouse = self._connected()
        reratings, seconds = clickhouse.rows(_RERATINGS)[0]
        names = database.names(self._settings)
        return Rebuilding(
            names, self._swapping(names), is_paused(clickhouse, _EVENTS), int(reratings), max(float(seconds), 0.0)
        )

    def close(self) -> None:
        """Closes the sockets."""
        for one in (self._server, self._database):
            if one is not None:
                one.close()

    def _connected(self) -> ClickHouse:
        with self._lock:
            if self._database is None:
                self._database = connect(self._settings, timeout_seconds=_SECONDS, options=_OPTIONS)
            return self._database

    def _swapping(self, names: Sequence[str]) -> list[str]:
        found = []
        for name in names:
            settings = database.shadow_settings(self._settings, name)
            with closing(connect(settings, timeout_seconds=_SECONDS, options=_OPTIONS)) as shadow:
                if journal.is_there(shadow) and journal.standing(shadow).open:
                    found.append(name)
        return found
