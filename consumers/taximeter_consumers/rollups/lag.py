"""How far the rollups are behind the events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from taximeter_consumers.rollups.batches import LATE_SECONDS, NOT_ROLLED_UP

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

_LAG: Final = (
    "SELECT if(count() = 0, 0, toUnixTimestamp64Micro(now64(6)) - toUnixTimestamp64Micro(min(stored_at))) / 1e6 "
    # Copies of a batch have one id and count as one, so nothing is to be merged for it: FINAL reads the whole ledger.
    "FROM stored_ingest_batches" + NOT_ROLLED_UP
)


def rollup_lag_seconds(clickhouse: ClickHouse) -> float:
    """The age in seconds, by the server's clock, of the oldest stored batch that is not rolled up; 0 if none waits."""
    return max(0.0, float(clickhouse.scalar(_LAG, {"late": LATE_SECONDS})))
