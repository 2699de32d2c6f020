"""Trouble on the way between sink and ClickHouse: a proxy cuts it, slows it down, swallows, or drops an answer."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from chaos.faults.fault import Fault, Inject
from chaos.lines import AWAY, clickhouse_line, last, start_sink_behind
from chaos.process import Process
from chaos.proxy import CUT, HALF_OPEN, PASS, Line
from chaos.world import World

EVENTS = b"INSERT+INTO+stored_events"
"""What stands in the request of an INSERT of events, and in no other."""
LEDGER = b"INSERT INTO stored_ingest_batches"
DONE = b"HTTP/1.1 200"
"""How the answer begins that ClickHouse has done what was asked. It refuses an INSERT of which a record is bad."""
_WINDOW = 2
_SECONDS = 4.0


def reply_lost(world: World, rng: Random) -> None:
    """ClickHouse has done what was asked, and the sink never hears of it; of an INSERT of events, then of any."""
    line = clickhouse_line(world)
    start_sink_behind(world, clickhouse=line)
    for asked in (EVENTS, *(rng.choice((EVENTS, LEDGER)) for _ in range(6 if world.long else 2))):
        world.await_stored(world.stored() + rng.randrange(1, 400))
        lost = line.lost
        line.set(Line(loses=asked, answering=DONE, afterwards=PASS))
        world.await_condition(lambda lost=lost: line.lost > lost, "an answer to be lost")  # type: ignore[misc]  # bound now
        world.injected.append(f"the answer to {asked.decode().replace('+', ' ')} lost")
    world.await_stored(world.stored() + 1)


def under(line_is: Line, done: Callable[[World, Process], None], told: str) -> Inject:
    """The line is so until `done` returns; then all is well again."""

    def inject(world: World, rng: Random) -> None:
        line = clickhouse_line(world)
        sink = start_sink_behind(world, clickhouse=line)
        world.await_stored(rng.randrange(1, 1_000))
        line.set(line_is)
        done(world, sink)
        world.injected.append(told)
        line.set(PASS)
        world.await_stored(world.stored() + 1)

    return inject


def failed_twice(world: World, sink: Process) -> None:
    """The sink has said twice that it could not store."""
    before = sink.log().count(AWAY)
    world.await_condition(lambda: sink.log().count(AWAY) >= before + 2, "the sink to fail twice")


def some_seconds(world: World, _: Process) -> None:
    """It lasted for some seconds: one who hears nothing says nothing that could be waited for."""
    last(world, _SECONDS)


def stored(more: int) -> Callable[[World, Process], None]:
    """So much more was stored meanwhile."""

    def done(world: World, _: Process) -> None:
        world.await_stored(world.stored() + more)

    return done


def away_past_window(world: World, rng: Random) -> None:
    """An insert's answer is lost and its sink cut off, until another sink's inserts have overrun the window.

    Both must be members before: a partition that is to be given back waits for what is in flight with it."""
    world.clickhouse.execute(
        f"ALTER TABLE stored_events MODIFY SETTING non_replicated_deduplication_window = {_WINDOW}"
    )
    world.stop_merges()
    line = clickhouse_line(world)
    cut_off = start_sink_behind(world, clickhouse=line)
    world.await_said(cut_off, "partitions assigned")
    other = world.start_sink(instance="sink-2")
    world.await_said(other, "partitions assigned")
    world.await_stored(world.stored() + rng.randrange(1, 300))
    line.set(Line(loses=EVENTS, answering=DONE, afterwards=CUT))
    world.await_condition(lambda: line.lost > 0, "an answer to be lost")
    # An insert may make a part in each of two months, and each counts.
    goal = _batches(world) + 2 * _WINDOW + 2
    world.await_condition(lambda: _batches(world) >= goal, "the other sink to overrun the window")
    line.set(PASS)
    world.await_condition(lambda: _copies(world) > 0, "the repeated insert to be stored once more")
    world.injected.append("an insert repeated after the deduplication window was overrun")


def _copies(world: World) -> int:
    return int(world.clickhouse.scalar("SELECT count() - uniqExact(kafka_partition, kafka_offset) FROM stored_events"))


def _batches(world: World) -> int:
    return int(world.clickhouse.scalar("SELECT uniqExact(batch_id) FROM ingest_batches"))


def _fault(name: str, breaks: str, inject: Inject, *, tested: bool = False) -> Fault:
    return Fault(f"clickhouse_{name}", breaks, inject, tested=tested)


FAULTS = (
    _fault("reply_lost", "an INSERT succeeds and its answer is lost, three times", reply_lost, tested=True),
    _fault(
        "cut",
        "the way to ClickHouse is cut until the sink has failed twice",
        under(CUT, failed_twice, "the way to ClickHouse cut"),
        tested=True,
    ),
    _fault(
        "delayed",
        "the way to ClickHouse takes 2 s in each direction",
        under(Line(delay_seconds=2.0), stored(1), "2 s to ClickHouse, and 2 s back"),
    ),
    _fault(
        "half_open",
        "connections to ClickHouse are accepted, and nothing is ever answered",
        under(HALF_OPEN, some_seconds, "connections to ClickHouse half-open"),
    ),
    _fault(
        "throttled",
        "20 kB a second to ClickHouse",
        under(Line(bytes_per_second=20_000), stored(100), "20 kB a second to ClickHouse"),
    ),
    Fault(
        "clickhouse_away_past_window",
        "an INSERT succeeds unheard, and is repeated after its deduplication window was overrun",
        away_past_window,
        tested=False,
        waives={"copies": "beyond its window the engine knows no block again; the view shows each event once"},
    ),
)
