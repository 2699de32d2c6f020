"""Exchanging a shadow's tables for the live ones while sinks and an aggregator go on.

    prepared    the live events are paused: sinks are refused, and try again. What they had in flight ends. What the
                shadow lacks is carried over and rolled up: from here on the two have the same events
    noted       which table is which, by its UUID; neither takes an insert. From here on the swap is finished, whoever
                does it
    exchanged   one EXCHANGE of all pairs: readers and writers, who go by names, are on the other tables
    done        what went into the former tables around the exchange (rows of the ledger, ticks in flight) is carried
                over, and rolled up again

The server exchanges each pair atomically, one after the other within milliseconds. The two sides have the same events
then, so a reader in between sees no event missing or twice. A crash before `noted` leaves the live tables live, and the
next call lifts the pause; after it, the next call finishes. Swapping back is the same the other way round: the former
tables catch up first, so what came since is never lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers import failpoints
from taximeter_consumers.pricing.cards import current_book
from taximeter_consumers.retention.horizon import require_kept
from taximeter_consumers.rollups.batches import Batch, Batches
from taximeter_consumers.rollups.repriced import last_book
from taximeter_consumers.rollups.tick import roll_up as roll_up_batches
from taximeter_consumers.shadow import build, journal
from taximeter_consumers.shadow.carry import carry, carry_stray, chunks, missing, unentered
from taximeter_consumers.shadow.database import follow_settings, give_book
from taximeter_consumers.shadow.pause import drained, pause, resume
from taximeter_consumers.shadow.tables import EVENTS, PRICES, REBUILT, RERATED
from taximeter_schemas.errors import Misconfigured, Retryable

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.shadow.database import Pair

Say = Callable[[str], None]

_ROUNDS: Final = 20
_ENTRY_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.05
_UUIDS: Final = """
SELECT name, toString(uuid) FROM system.tables WHERE database = {database:String} AND name IN {tables:Array(String)}
"""
_NOT_ROLLED_UP: Final = """
SELECT batch_id, toUnixTimestamp64Micro(any(stored_at)), toUnixTimestamp64Milli(any(arrived_at)), any(records)
FROM stored_ingest_batches WHERE batch_id NOT IN (SELECT batch_id FROM stored_rolled_up_batches)
GROUP BY batch_id ORDER BY batch_id
"""
_WAITING: Final = "SELECT count() FROM reprices WHERE step = 2"
_COUNTED: Final = "SELECT groupArray(reprice_id) FROM (SELECT reprice_id FROM reprices WHERE step >= 2 ORDER BY 1)"


@dataclass(frozen=True)
class Swapped:
    """What an exchange did: the tables, and how many batches were carried over in it."""

    tables: Sequence[str]
    carried: int


def swap(pair: Pair, *, swapped_in: bool, say: Say = lambda _: None) -> Swapped:
    """Exchanges the tables; `swapped_in`: the shadow's become the live ones, else they are given back. Raises
    Misconfigured where it cannot be, Retryable where a server or the aggregator does not get there in time; either
    leaves the live tables live and unpaused. Whether the two differ is not asked here."""
    if (done := recover(pair, say)) is not None and done == swapped_in:
        return Swapped(_tables(pair), 0)
    standing = journal.standing(pair.shadow)
    if standing.swapped_in == swapped_in:
        state = "is swapped in already" if swapped_in else "is not swapped in"
        other = "--undo" if swapped_in else "--swap"
        raise Misconfigured(
            f"the shadow {pair.name} {state}", mend=f"taximeter replay --shadow {pair.name} {other} does the opposite"
        )
    require_kept(pair.live, 0, "a shadow cannot take the place of sums whose events are gone")
    journal.note(pair.shadow, journal.PREPARED, {"swapped_in": swapped_in})
    try:
        noted = _prepare(pair, swapped_in=swapped_in, say=say)
    except BaseException:
        call_off(pair)
        raise
    return _finish(pair, noted, say)


def recover(pair: Pair, say: Say = lambda _: None) -> bool | None:
    """Ends what an earlier call has left open: finished where it was noted, called off before. Returns which side it
    finished; None where nothing was finished."""
    standing = journal.standing(pair.shadow)
    if not standing.open or standing.details is None:
        return None
    if standing.step == journal.PREPARED:
        say("an earlier swap was broken off before it exchanged anything; it is called off")
        call_off(pair)
        return None
    say("an earlier swap was broken off; it is finished now")
    _finish(pair, standing.details, say)
    return bool(standing.details["swapped_in"])


def call_off(pair: Pair) -> None:
    """Lifts the pause, and says so in the journal."""
    resume(pair.live, EVENTS)
    resume(pair.shadow, EVENTS)
    journal.note(pair.shadow, "called_off")


def _tables(pair: Pair) -> tuple[str, ...]:
    # A book of its own goes along, or the next tick would price everything by the live one again.
    return (*PRICES, *RERATED, *REBUILT) if pair.own_book else REBUILT


def _prepare(pair: Pair, *, swapped_in: bool, say: Say) -> dict[str, Any]:
    live, shadow = pair.live, pair.shadow
    # The former live tables were paused when they were exchanged.
    resume(shadow, EVENTS)
    carry(live, shadow)
    _roll_up(shadow, carry_stray(live, shadow))
    build.roll_up(pair)
    say("holding up inserts")
    dead = unentered(live)
    pause(live, EVENTS)
    drained(live, [live.database])
    _await_entries(live, dead)
    failpoints.reached("swap.paused")
    for _ in range(_ROUNDS):
        carry(live, shadow)
        build.roll_up(pair)
        if not _unlike(pair):
            break
    else:
        raise Retryable(f"the shadow does not catch up: {_unlike(pair)}; is `taximeter aggregate --follow` running?")
    give_book(pair)
    # Until all pairs are exchanged neither table takes anything: a server that dies among them leaves some exchanged,
    # and rows must not come into one set of tables while their ledger is in the other.
    pause(shadow, EVENTS)
    failpoints.reached("swap.caught_up")
    tables = _tables(pair)
    noted = {
        "swapped_in": swapped_in,
        "pairs": {table: [_uuids(live, tables)[table], _uuids(shadow, tables)[table]] for table in tables},
        "pending": [_row(batch) for batch in _not_rolled_up(live)],
    }
    journal.note(shadow, journal.NOTED, noted)
    failpoints.reached("swap.noted")
    return noted


def _await_entries(live: ClickHouse, dead: set[int]) -> None:
    """Waits a little until sinks have entered what they had stored, so that the shadow rolls it up before the
    exchange. What nobody enters, like the `dead`, is carried over without."""
    until = time.monotonic() + _ENTRY_SECONDS
    while unentered(live) - dead and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)


def _unlike(pair: Pair) -> str:
    """What the shadow lacks for an exchange; empty where it lacks nothing."""
    if missing(pair.live, pair.shadow):
        return "the live ledger has batches that it has not"
    if _not_rolled_up(pair.shadow):
        return "its rollups lack batches"
    if pair.own_book:
        return ""
    follow_settings(pair)
    if pair.live.scalar(_WAITING) or pair.live.scalar(_COUNTED) != pair.shadow.scalar(_COUNTED):
        return "a re-rating is being worked in"
    if last_book(pair.shadow) != current_book(pair.live).version:
        return "a new price is being worked in"
    return ""


def _finish(pair: Pair, noted: Any, say: Say) -> Swapped:
    live, shadow = pair.live, pair.shadow
    say("exchanging the tables")
    _exchange(pair, noted["pairs"])
    resume(live, EVENTS)
    failpoints.reached("swap.exchanged")
    # An insert that had found the former table before the exchange, and is only now about to write, must be refused
    # there as well: the pause of the former table ends when all that ran have ended.
    drained(live, [live.database])
    # Whoever was between storing and entering has entered the new ledger by now, or the former one.
    late = [*carry(shadow, live), *carry_stray(shadow, live)]
    resume(shadow, EVENTS)
    failpoints.reached("swap.carried_over")
    say("rolling up what came in between")
    pending = [Batch(*row) for row in noted["pending"]]
    _roll_up(live, {batch.batch_id: batch for batch in (*pending, *late)}.values())
    journal.note(shadow, "done", {"swapped_in": noted["swapped_in"]})
    return Swapped(tuple(noted["pairs"]), len(late))


def _exchange(pair: Pair, pairs: dict[str, list[str]]) -> None:
    """Exchanges the pairs that are not exchanged yet, in their order."""
    now = _uuids(pair.live, tuple(pairs))
    todo = [table for table, (former, _) in pairs.items() if now[table] == former]
    if not todo:
        return
    one_by_one = [f"{pair.live.database}.{table} AND {pair.shadow.database}.{table}" for table in todo]
    if failpoints.is_armed("swap.one_exchanged"):
        pair.live.execute(f"EXCHANGE TABLES {one_by_one.pop(0)}")
        failpoints.reached("swap.one_exchanged")
    pair.live.execute(f"EXCHANGE TABLES {', '.join(one_by_one)}")


def _roll_up(clickhouse: ClickHouse, batches: Iterable[Batch]) -> None:
    """Recomputes what these batches touch, with a version past that of any tick that was in flight: one that read
    former tables may have written into new ones."""
    for part in chunks(sorted(batches, key=lambda batch: (batch.stored_at, batch.batch_id))):
        roll_up_batches(clickhouse, Batches(tuple(part)))


def _not_rolled_up(clickhouse: ClickHouse) -> list[Batch]:
    return [Batch(*row) for row in clickhouse.rows(_NOT_ROLLED_UP)]


def _row(batch: Batch) -> list[int]:
    return [batch.batch_id, batch.stored_at, batch.arrived_at, batch.records]


def _uuids(clickhouse: ClickHouse, tables: Sequence[str]) -> dict[str, str]:
    found = clickhouse.rows(_UUIDS, {"database": clickhouse.database, "tables": list(tables)})
    return dict(found)
