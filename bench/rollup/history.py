"""A database with a history: so many stored events, all in the rollups, as months of metering leave them.

Accounts are alike, each with 2,500 runs of 20 events over sixty days; more events are more accounts. The rows are made
by the server itself. The rollups of twenty accounts are made by the very statements that a tick runs, those of the
others are copied from them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from taximeter_consumers.pricing.aliases import match_new_models
from taximeter_consumers.pricing.cards import current_book
from taximeter_consumers.rollups.definitions import ROLLUPS
from taximeter_consumers.rollups.recompute import next_version
from taximeter_consumers.rollups.repriced import mark_book
from taximeter_consumers.rollups.statements import recompute_sql

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.rollups.definitions import Rollup

RUNS: Final = 2_500
EVENTS_OF_RUN: Final = 20
EVENTS_OF_ACCOUNT: Final = RUNS * EVENTS_OF_RUN
DAYS: Final = 60
END: Final = datetime(2026, 11, 1, tzinfo=UTC)
"""When the history ends and the ticks begin."""

START_MS: Final = int((END - timedelta(days=DAYS)).timestamp() * 1000)
RUN_MS: Final = DAYS * 86_400_000 // RUNS
_CHUNK: Final = 2_500_000
_BATCH: Final = 50_000
ROLLED_UP: Final = 20
"""So many accounts are rolled up from their events; the others have copies of these rows."""
_AT_ONCE: Final = 5
_COPIED_AT_ONCE: Final = 2

COLUMNS: Final = """
account_id, user_id, project_id, workflow_id, run_id, context, event_id, id_time, occurred_at, kind, node_id, node_type,
attempt, outcome, executions, duration_us, provider, model, usage_type, input_tokens, output_tokens, cache_read_tokens,
total_tokens, quality, http_requests, http_bytes_in, kafka_topic, kafka_partition, kafka_offset, schema_id, batch_id,
arrived_at, version
"""
ROW: Final = """
concat('account-', toString(account)), concat('user-', toString(run % 40)), concat('project-', toString(run % 5)),
concat('workflow-', toString(run % 20)), concat('run-', toString(account), '-', toString(run)),
if(run % 10 = 0, 'system', 'customer'), generateUUIDv4(), fromUnixTimestamp64Milli(at, 'UTC'),
fromUnixTimestamp64Milli(at, 'UTC'), 'node', concat('node-', toString(node)),
['ai', 'http', 'code', 'plugin'][node % 4 + 1], attempt, if(node % 17 = 0, 'error', 'success'), 1, 1000 + node * 777,
if(node % 4 = 0, 'openai', ''),
if(node % 4 = 0, ['gpt-4o', 'gpt-4o-mini', 'gpt-4.1', 'o3', 'text-embedding-3-small'][run % 5 + 1], ''),
if(node % 4 = 0, 'text', ''), if(node % 4 = 0, 1000 + run, 0), if(node % 4 = 0, 100 + node, 0),
if(node % 8 = 0, 500, 0), if(node % 4 = 0, 1100 + run + node, 0), if(node % 4 = 0, 'reported', ''),
toInt64(node % 4 = 1), if(node % 4 = 1, 4096 + run, 0), 'bench', 0, offset, 1, batch,
fromUnixTimestamp64Milli(arrived, 'UTC'), 18446744073709551615 - offset
"""
"""One event, of `account`, `run`, `node`, `attempt`, `at` and `arrived` (Unix milliseconds), `offset` and `batch`."""

_FILL: Final = f"""
INSERT INTO stored_events ({COLUMNS})
SELECT {ROW} FROM
(
    SELECT
        toInt64(number) AS offset, intDiv(offset, {EVENTS_OF_ACCOUNT}) AS account,
        intDiv(offset % {EVENTS_OF_ACCOUNT}, {EVENTS_OF_RUN}) AS run, offset % {EVENTS_OF_RUN} AS node,
        1 AS attempt, toUInt64(intDiv(offset, {_BATCH})) AS batch, toInt64({START_MS} + batch) AS arrived,
        {START_MS} + run * {RUN_MS} + node * 1000 + account % {ROLLED_UP} AS at
    FROM numbers({{first:UInt64}}, {{count:UInt64}})
)
SETTINGS max_partitions_per_insert_block = 0
"""
_LEDGER: Final = f"""
INSERT INTO stored_ingest_batches
SELECT 'bench', '', 0, number * {_BATCH}, (number + 1) * {_BATCH} - 1, number, '', {_BATCH}, {_BATCH}, 0,
    fromUnixTimestamp64Milli(toInt64({START_MS} + number), 'UTC'),
    fromUnixTimestamp64Milli(toInt64({START_MS} + number), 'UTC'), 'bench'
FROM numbers({{batches:UInt64}})
"""
_ROLLED_UP: Final = f"""
INSERT INTO stored_rolled_up_batches
SELECT number, fromUnixTimestamp64Milli(toInt64({START_MS} + number), 'UTC'), {{version:UInt64}}
FROM numbers({{batches:UInt64}})
"""
_BUSY: Final = "SELECT count() FROM system.merges WHERE database = {database:String}"
_QUIET_LOOKS: Final = 10


@dataclass(frozen=True)
class History:
    """A filled database, and how many events are stored in it."""

    clickhouse: ClickHouse
    rows: int

    @property
    def accounts(self) -> int:
        """How many accounts it has."""
        return self.rows // EVENTS_OF_ACCOUNT


def fill(clickhouse: ClickHouse, rows: int, say: Callable[[str], None]) -> History:
    """Stores `rows` events and their rollups, and waits until the server has come to rest."""
    for first in range(0, rows, _CHUNK):
        clickhouse.execute(_FILL, {"first": first, "count": min(_CHUNK, rows - first)})
        say(f"{min(first + _CHUNK, rows):,} of {rows:,} events are stored")
    batches = {"batches": rows // _BATCH}
    clickhouse.execute(_LEDGER, batches)
    match_new_models(clickhouse, "true", {})
    version, book = next_version(clickhouse), current_book(clickhouse)
    for first in range(0, ROLLED_UP, _AT_ONCE):
        accounts = ", ".join(f"'account-{number}'" for number in range(first, first + _AT_ONCE))
        for rollup in ROLLUPS:
            clickhouse.execute(recompute_sql(rollup, f"account_id IN ({accounts})", book), {"version": version})
    say(f"{ROLLED_UP} accounts are rolled up")
    for rollup in ROLLUPS:
        for first in range(ROLLED_UP, rows // EVENTS_OF_ACCOUNT, _COPIED_AT_ONCE * ROLLED_UP):
            _copy(clickhouse, rollup, first, min(rows // EVENTS_OF_ACCOUNT, first + _COPIED_AT_ONCE * ROLLED_UP))
        say(f"{rollup.name} has rows of all accounts")
    clickhouse.execute(_ROLLED_UP, {**batches, "version": version})
    mark_book(clickhouse, book, version)
    settle(clickhouse)
    return History(clickhouse, rows)


def _copy(clickhouse: ClickHouse, rollup: Rollup, first: int, end: int) -> None:
    """Gives the accounts from `first` on, before `end`, the rows that one of the rolled up accounts has: accounts are
    alike but for their names and the names of their runs."""
    columns = [name for name, _ in rollup.columns]
    renamed = {
        "account_id": "concat('account-', toString(copy))",
        "run_id": "concat('run-', toString(copy), '-', splitByChar('-', row.run_id)[3])",
    }
    picked = ", ".join(renamed.get(name, f"row.{name}") for name in columns)
    clickhouse.execute(
        f"""
        INSERT INTO {rollup.table} ({", ".join(columns)}, version)
        SELECT {picked}, row.version
        FROM (SELECT * FROM {rollup.table} FINAL WHERE account_id IN {{accounts:Array(String)}}) AS row
        INNER JOIN
        (
            SELECT toInt64(number) AS copy, concat('account-', toString(number % {ROLLED_UP})) AS original
            FROM numbers({{first:UInt64}}, {{count:UInt64}})
        ) AS copies ON copies.original = row.account_id
        SETTINGS max_partitions_per_insert_block = 0
        """,
        {"first": first, "count": end - first, "accounts": [f"account-{number}" for number in range(ROLLED_UP)]},
    )


def settle(clickhouse: ClickHouse) -> None:
    """Waits until no merge has been running for a while."""
    quiet = 0
    while quiet < _QUIET_LOOKS:
        quiet = 0 if clickhouse.scalar(_BUSY, {"database": clickhouse.database}) else quiet + 1
        time.sleep(0.5)
