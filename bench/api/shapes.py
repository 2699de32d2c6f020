"""The runs that are asked for: those of a history, and runs of other shapes in accounts of their own beside it.

The history's runs are the typical ones: 20 nodes of one attempt. Beside them: small ones of three events, ones of which
two nodes were tried again, and large ones, a hundred nodes of twenty events, every tenth of them tried again.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from bench.rollup.history import COLUMNS, ROW, RUN_MS, RUNS, START_MS, History
from taximeter_consumers.pricing.cards import current_book
from taximeter_consumers.rollups.definitions import NODE_COSTS, RUN_COSTS
from taximeter_consumers.rollups.recompute import next_version
from taximeter_consumers.rollups.statements import recompute_sql

_FIRST_ACCOUNT: Final = 1_000_000
_FIRST_OFFSET: Final = 10**12


@dataclass(frozen=True)
class Shape:
    """Runs of so many events; `node` and `attempt` are SQL over `event`, its number in the run."""

    name: str
    runs: int
    events: int
    node: str = "event"
    attempt: str = "1"


SHAPES: Final = (
    Shape("small", 500, 3),
    Shape("retried", 500, 22, "event % 20", "intDiv(event, 20) + 1"),
    Shape("large", 40, 2_000, "intDiv(event, 20)", "if(node % 10 = 0 AND event % 20 >= 10, 2, 1)"),
)
TYPICAL: Final = "typical"
NAMES: Final = (*(shape.name for shape in SHAPES), TYPICAL)

_FILL: Final = f"""
INSERT INTO stored_events ({COLUMNS})
SELECT {ROW} FROM
(
    SELECT
        toInt64({{account:UInt64}}) AS account, toInt64(number) AS place, intDiv(place, {{events:UInt64}}) AS run,
        place % {{events:UInt64}} AS event, {{node}} AS node, {{attempt}} AS attempt,
        {START_MS} + run * {RUN_MS} + event * 500 AS at, {{offset:Int64}} + place AS offset, toUInt64(0) AS batch,
        toInt64({START_MS}) AS arrived
    FROM numbers({{count:UInt64}})
)
SETTINGS max_partitions_per_insert_block = 0
"""


@dataclass(frozen=True)
class Runs:
    """Where to find runs of every shape."""

    history: History

    def paths(self, name: str, count: int, random: Random) -> list[str]:
        """So many of them, at random, as an operator asks for them."""
        if name == TYPICAL:
            picked = [(random.randrange(self.history.accounts), random.randrange(RUNS)) for _ in range(count)]
        else:
            place, shape = next(found for found in enumerate(SHAPES) if found[1].name == name)
            picked = [(_FIRST_ACCOUNT + place, random.randrange(shape.runs)) for _ in range(count)]
        return [f"/api/metering/runs/run-{account}-{run}?accountId=account-{account}" for account, run in picked]


def add_shapes(history: History) -> Runs:
    """Stores the runs of `SHAPES`, and rolls them up."""
    clickhouse = history.clickhouse
    version, book = next_version(clickhouse), current_book(clickhouse)
    for place, shape in enumerate(SHAPES):
        account, count = _FIRST_ACCOUNT + place, shape.runs * shape.events
        asked = {"account": account, "events": shape.events, "count": count, "offset": _FIRST_OFFSET * (place + 1)}
        sql = _FILL.replace("{node}", shape.node).replace("{attempt}", shape.attempt)
        clickhouse.execute(sql, asked)
        for rollup in (RUN_COSTS, NODE_COSTS):
            sql = recompute_sql(rollup, f"account_id = 'account-{account}'", book)
            clickhouse.execute(sql, {"version": version})
    return Runs(history)
