"""Somebody deletes rows by hand: the product's own audit must fail, and name whose row it was.

Nothing is broken on the way. When all is stored and rolled up, a row is deleted from one table after the other; the
audit is asked each time, and the row put back, so that the verdict finds everything in place again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from chaos.audit import audit
from chaos.faults.fault import Fault
from chaos.world import World
from taximeter_schemas.errors import Retryable

_GAPS, _LOST = 1, 3


@dataclass(frozen=True)
class Deletion:
    """A row to delete: its table, the columns by which all its versions are found, and which rows may be taken. `pairs`
    are the comparisons that must then be open."""

    table: str
    key: tuple[str, ...]
    where: str
    pairs: frozenset[str]


DELETIONS: Final = (
    Deletion(
        "stored_run_costs",
        ("account_id", "run_id"),
        "events > 0",
        frozenset({"node_costs = run_costs"}),
    ),
    Deletion(
        "stored_charges",
        (
            *("account_id", "quarter", "context", "workflow_id", "provider", "model", "unit"),
            *("service_tier", "source", "usd_per_unit"),
        ),
        "cost_usd != 0",
        frozenset({"charged = charges"}),
    ),
    Deletion(
        "stored_events",
        ("account_id", "id_time", "event_id"),
        "usage_type != '' AND reported_cost > 0",
        frozenset(
            {
                *("charged = usage_by_subject", "charged of models = model_costs", "charged = charges"),
                *("charged = node_costs", "charged = quota usage"),
            }
        ),
    ),
)


def roll_up(world: World, rng: Random) -> None:
    """Nothing is broken yet."""
    world.start_sink()
    world.await_stored(rng.randrange(200, 800))


def deleted(world: World, rng: Random) -> None:
    """Deletes a row of each table. Raises Retryable where the audit does not see it, or sees more than that."""
    # Deletions are carried out by merges.
    world.clickhouse.execute(f"SYSTEM START MERGES {world.name}.stored_events")
    world.merges = True
    for deletion in DELETIONS:
        account = _delete(world, deletion, rng)
        must_see(world, deletion, account)
        _put_back(world, deletion)
        world.injected.append(f"a row of {deletion.table} deleted, seen, and put back")


def _delete(world: World, deletion: Deletion, rng: Random) -> str:
    ask, table, columns = world.clickhouse, deletion.table, ", ".join(deletion.key)
    any_row = f"cityHash64({columns}, {rng.randrange(10**9)})"
    chosen = f"SELECT {columns} FROM {table} FINAL WHERE {deletion.where} ORDER BY {any_row} LIMIT 1"
    ask.execute(f"CREATE TABLE {_kept(table)} AS {table} ENGINE = Memory")
    ask.execute(f"INSERT INTO {_kept(table)} SELECT * FROM {table} WHERE ({columns}) IN ({chosen})")
    ask.execute(
        f"ALTER TABLE {table} DELETE WHERE ({columns}) IN (SELECT {columns} FROM {world.name}.{_kept(table)})"
        " SETTINGS mutations_sync = 2"
    )
    return str(ask.scalar(f"SELECT any(account_id) FROM {_kept(table)}"))


def must_see(world: World, deletion: Deletion, account: str) -> None:
    """Asks the audit. Raises Retryable where it does not name the row's account, and no other, in all that are open."""
    code, told = audit(world, "--no-ingest", "--json")
    if code != _GAPS:
        raise Retryable(f"a row of {deletion.table} is gone, and the audit ends with {code}")
    gaps: list[dict[str, Any]] = json.loads(told[told.index("{") :])["money"]["gaps"]
    open_pairs, accounts = {gap["pair"] for gap in gaps}, {gap["account_id"] for gap in gaps}
    if not deletion.pairs <= open_pairs:
        raise Retryable(f"a row of {deletion.table} is gone, and {sorted(deletion.pairs - open_pairs)} close")
    if accounts != {account}:
        raise Retryable(f"a row of {account} in {deletion.table} is gone, and the audit names {sorted(accounts)}")
    if deletion.table == "stored_events" and audit(world, "--ingest")[0] != _LOST:
        raise Retryable("an event is gone, and the audit of the log does not see it")


def _put_back(world: World, deletion: Deletion) -> None:
    ask, kept = world.clickhouse, _kept(deletion.table)
    # The table remembers the block that the row came with, and would take this one for a repetition.
    ask.execute(f"INSERT INTO {deletion.table} SELECT * FROM {kept} SETTINGS insert_deduplicate = 0")
    ask.execute(f"DROP TABLE {kept}")


def _kept(table: str) -> str:
    return f"kept_{table}"


FAULTS = (
    Fault(
        "rows_deleted_by_hand",
        f"a row deleted from each of {', '.join(deletion.table for deletion in DELETIONS)}: the audit must fail",
        roll_up,
        settle=deleted,
        events=1_000,
        tested=False,
    ),
)
