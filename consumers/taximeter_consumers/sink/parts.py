"""How many parts ClickHouse makes of one bundle, so that bundles are cut no more often than its parts allow.

Usually two: one of events, one of the ledger. More where a bundle takes several INSERTs (schemas, bad records, batches
whose dead letters are written each for itself), and where it has events of several months: each month of ids is a
partition of the table, and a part. No record is decoded, so only the server knows the months; it is asked now and then.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

import structlog

from taximeter_schemas.errors import Misconfigured, Retryable

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

USUAL: Final = 2.0
"""Parts of a bundle of which nothing is known."""

_LOOK_SECONDS: Final = 2.0
# What a bundle counts for when the next one begins.
_FADING: Final = 0.95
# Of all sinks together. The month of which there are most is in nearly every INSERT, so its parts are the INSERTs.
_LATELY: Final = """
SELECT sum(made), max(made) FROM
(
    SELECT count() AS made FROM system.parts
    WHERE database IN (currentDatabase(), concat(currentDatabase(), '_shard')) AND table = 'stored_events'
        AND level = 0 AND modification_time >= now() - 10
    GROUP BY partition_id
)
"""

_log = structlog.get_logger()


class PartsMade:
    """Counted by the threads that store, read by the one that cuts."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse
        self._lock = threading.Lock()
        self._bundles = self._inserts = self._entries = 0.0
        self._months = 1.0
        self._look_at = 0.0

    def of_a_bundle(self) -> float:
        """On average over the last ones, at least the usual two."""
        with self._lock:
            made = self._inserts * self._months + self._entries
            return max(USUAL, made / self._bundles) if self._bundles else USUAL

    def inserted(self) -> None:
        """One INSERT of events."""
        with self._lock:
            self._inserts += 1

    def entered(self) -> None:
        """One INSERT into the ledger."""
        with self._lock:
            self._entries += 1

    def began(self) -> None:
        """A bundle is about to be inserted."""
        with self._lock:
            self._bundles = self._bundles * _FADING + 1
            self._inserts *= _FADING
            self._entries *= _FADING

    def look(self) -> None:
        """Asks the server, if it is time to. Whatever goes wrong with that: it was as it was."""
        now = time.monotonic()
        with self._lock:
            if now < self._look_at:
                return
            self._look_at = now + _LOOK_SECONDS
        try:
            made, of_one_month = self._clickhouse.rows(_LATELY)[0]
        except Retryable:
            return
        except Misconfigured as error:
            with self._lock:
                self._look_at = float("inf")
            _log.warning("events of several months may make too many parts: they cannot be counted", error=str(error))
            return
        if of_one_month:
            with self._lock:
                self._months = made / of_one_month
