"""One tick over a batch that touches a thousand runs, timed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from bench.rollup.history import COLUMNS, END, ROLLED_UP, ROW, RUN_MS, RUNS, START_MS
from taximeter_consumers.rollups import tick
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from bench.rollup.history import History

ACCOUNTS: Final = ROLLED_UP
"""The runs that a tick touches are of so many accounts, in both histories."""
TOUCHED: Final = 1_000

_TOUCH: Final = f"""
INSERT INTO stored_events ({COLUMNS})
SELECT {ROW} FROM
(
    SELECT
        toInt64(number) % {ACCOUNTS} AS account, intDiv(toInt64(number), {ACCOUNTS}) AS place, 21 AS node, 1 AS attempt,
        if({{scattered:Bool}}, (place * 47 + {{round:Int64}} * 7) % {RUNS}, {RUNS} - 1 - place) AS run,
        if({{scattered:Bool}}, {START_MS} + run * {RUN_MS} + 30000, {{at:Int64}}) + toInt64(number) AS at,
        {{offset:Int64}} + toInt64(number) AS offset, {{batch:UInt64}} AS batch,
        {{at:Int64}} AS arrived
    FROM numbers({TOUCHED})
)
"""
_LEDGER: Final = f"""
INSERT INTO stored_ingest_batches
SELECT 'bench', '', 0, {{offset:Int64}}, {{offset:Int64}} + {TOUCHED} - 1, {{batch:UInt64}}, '',
    {TOUCHED}, {TOUCHED}, 0, fromUnixTimestamp64Milli({{at:Int64}}, 'UTC'), now64(6), 'bench'
"""
_SEEN: Final = "SELECT count() FROM stored_run_costs WHERE version = {version:UInt64}"


@dataclass
class Ticker:
    """Touches runs of one history, an hour after the other, and ticks."""

    history: History
    hours: int = 0

    def touch_and_tick(self, *, scattered: bool) -> float:
        """The milliseconds of a tick after one more event of each of a thousand runs: the latest ones of twenty
        accounts, or, `scattered`, late events of runs of all sixty days. Raises Retryable where the tick did something
        else."""
        clickhouse, self.hours = self.history.clickhouse, self.hours + 1
        at = int((END + timedelta(hours=self.hours)).timestamp() * 1000)
        offset = self.history.rows + self.hours * TOUCHED
        named = {"at": at, "offset": offset, "batch": offset, "round": self.hours}
        clickhouse.execute(_TOUCH, {**named, "scattered": scattered})
        clickhouse.execute(_LEDGER, named)
        began = time.perf_counter()
        done = tick(clickhouse)
        taken = (time.perf_counter() - began) * 1000
        runs = clickhouse.scalar(_SEEN, {"version": done.version}) if done.version else 0
        if (done.records, runs) != (TOUCHED, TOUCHED):
            raise Retryable(f"the tick worked in {done.records} records and {runs} runs, not {TOUCHED}")
        return taken
