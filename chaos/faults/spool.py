"""The SDK's disk spool: the broker is away, real meters spill, and what they accepted arrives once all the same."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from random import Random

from chaos.faults.fault import Fault
from chaos.meter_journal import Metered, read_metered
from chaos.outage import Outage, outage
from chaos.process import Process
from chaos.small_disk import fill, grow, small_disk
from chaos.world import World

_SMALL_MB, _LARGE_MB = 4, 64
_MOST_LEFT = 300_000
_AT_WORK = ("--rate", "400")
_AT_ONCE = ("--close-seconds", "0")


def spool_of(servers: Path) -> Path:
    """Where a spool on a disk of its own lies."""
    return servers / "spool"


def on_a_small_disk(servers: Path) -> AbstractContextManager[None]:
    """The spool alone gets it."""
    return small_disk(spool_of(servers), _SMALL_MB)


def disk_full(world: World, rng: Random) -> None:
    """The spool's disk fills up during an outage, until events are dropped; it is grown before the outage ends, or
    after, when draining has made room as well."""
    world.start_sink()
    world.spool_dir = spool_of(world.addresses.data_dir)
    # The fork server may be older than the mount, which it then does not see.
    world.forked = False
    with outage(world, rng) as away:
        executor = away.start_metered(*_AT_WORK)
        await_nodes(world, executor, rng.randrange(1, 800))
        fill(world.spool, rng.randrange(_MOST_LEFT))
        world.spool_was_full = True
        away.begin()
        most = rng.randrange(1, 500)
        world.await_condition(lambda: len(told_by(world, executor).dropped) >= most, "events to be dropped")
        world.injected.append("the spool's disk full")
        grown_before = rng.random() < 0.7
        if grown_before:
            grow(world.spool, _LARGE_MB)
            await_spooled(world, executor, rng.randrange(1, 800))
        away.end()
        if not grown_before:
            grow(world.spool, _LARGE_MB)
        empty(world, away)


def killed_while_spilling(world: World, rng: Random) -> None:
    """Executors are killed one after the other while they spill; the last one finds what all have left."""
    world.start_sink()
    with outage(world, rng) as away:
        executor = away.start_metered(*_AT_WORK)
        await_nodes(world, executor, rng.randrange(1, 800))
        away.begin()
        for _ in range(rng.randint(1, 6 if world.long else 3)):
            count = rng.randrange(1, 800)
            await_spooled(world, executor, count)
            executor.kill()
            world.injected.append(f"executor killed after {count} spooled events")
            executor = away.start_metered(*_AT_WORK)
        if rng.random() < 0.5:  # else the last one has nothing of its own in the spool
            await_spooled(world, executor, rng.randrange(1, 800))
        away.end()
        empty(world, away)


def restarted(world: World, rng: Random) -> None:
    """An executor is closed within an outage and may not wait for the broker; the next one sends what it had."""
    world.start_sink()
    with outage(world, rng) as away:
        executor = away.start_metered(*_AT_WORK, *_AT_ONCE)
        await_nodes(world, executor, rng.randrange(1, 800))
        away.begin()
        await_nodes(world, executor, rng.randrange(1, 2_000))
        end(world, executor)
        left = len(told_by(world, executor).spooled)
        world.injected.append(f"executor closed, with {left} events in its spool")
        if rng.random() < 0.5:  # else the next one starts when the broker is back
            await_nodes(world, away.start_metered(*_AT_WORK), rng.randrange(1, 800))
        away.end()
        empty(world, away)


def shared(world: World, rng: Random) -> None:
    """Two executors spill into one directory and empty it together; one of them is killed meanwhile, or both live."""
    world.start_sink()
    with outage(world, rng) as away:
        both = [away.start_metered(*_AT_WORK) for _ in range(2)]
        for executor in both:
            await_nodes(world, executor, rng.randrange(1, 400))
        away.begin()
        for executor in both:
            await_spooled(world, executor, rng.randrange(1, 800))
        world.injected.append("two executors spill into one directory")
        waiting = set(world.in_spool())
        away.end()
        if rng.random() < 0.5:
            world.await_condition(lambda: not waiting <= set(world.in_spool()), "a file of the spool to be sent")
            rng.choice(both).kill()
            world.injected.append("one of them killed while they empty it")
        empty(world, away)


def told_by(world: World, executor: Process) -> Metered:
    """What the executor's journal says so far."""
    return read_metered(journal_of(world, executor))


def journal_of(world: World, executor: Process) -> Path:
    """Where the executor's journal is."""
    return next(path for path, process in world.metered.items() if process is executor)


def await_nodes(world: World, executor: Process, more: int) -> None:
    """Waits until the executor has begun so many nodes more."""
    goal = len(told_by(world, executor).nodes) + more
    world.await_condition(lambda: len(told_by(world, executor).nodes) >= goal, f"{goal} nodes")


def await_spooled(world: World, executor: Process, more: int) -> None:
    """Waits until the executor's spool has accepted so many events more."""
    goal = len(told_by(world, executor).spooled) + more
    world.await_condition(lambda: len(told_by(world, executor).spooled) >= goal, f"{goal} events in the spool")


def end(world: World, executor: Process) -> None:
    """Has the executor close its meter and end. One that has no journal yet would not hear of it."""
    world.await_condition(journal_of(world, executor).exists, "the executor to begin")
    executor.stop()


def empty(world: World, away: Outage) -> None:
    """Ends the executors in order, and has one that meters nothing send what they leave."""
    for executor in world.running("metered"):
        end(world, executor)
    last = away.start_metered()
    world.await_condition(lambda: not world.in_spool(), "the spool to be empty")
    end(world, last)


FAULTS = (
    Fault(
        "spool_disk_full",
        "the spool's disk fills up while the broker is away, and is grown",
        disk_full,
        events=500,
        rate=200,
        own_servers=True,
        tested=False,
        around=on_a_small_disk,
    ),
    Fault(
        "executor_killed_while_spilling",
        "kill -9 of executors that spill while the broker is away; the next one sends what was spooled",
        killed_while_spilling,
        events=500,
        rate=200,
        own_servers=True,
        tested=False,
    ),
    Fault(
        "executor_restarted_over_outage",
        "an executor is closed while the broker is away; the next one sends what it had",
        restarted,
        events=500,
        rate=200,
        own_servers=True,
        tested=False,
    ),
    Fault(
        "spool_shared",
        "two executors share a spool through an outage, and one may be killed while they empty it",
        shared,
        events=500,
        rate=200,
    ),
)
