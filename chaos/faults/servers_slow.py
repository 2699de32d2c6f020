"""Servers that stop and start again, or hardly run: the broker past the executor's patience, a broker that is killed,
and a ClickHouse that gets a tenth of its time."""

from __future__ import annotations

import signal
from random import Random

from chaos.faults.fault import Fault
from chaos.own_servers import BROKER, CLICKHOUSE
from chaos.world import World

_PATIENCE_MS = 1_500
_SLOW_SECONDS = 4.0


def broker_stopped(world: World, rng: Random) -> None:
    """The broker sleeps until the executor has given records up, and wakes: it may have them all the same."""
    world.start_sink()
    world.await_stored(rng.randrange(1, 1_000))
    world.own_servers.signal(BROKER, signal.SIGSTOP)
    try:
        (executor,) = world.running("executor")
        world.await_said(executor, "sends again: _MSG_TIMED_OUT")
        world.injected.append("the broker stopped past message.timeout")
    finally:
        world.own_servers.signal(BROKER, signal.SIGCONT)
    world.await_stored(world.stored() + 1)


def broker_killed(world: World, rng: Random) -> None:
    """Kill -9 of the broker while the executor sends and the sink stores; it comes back with its log."""
    world.start_sink()
    world.await_stored(rng.randrange(1, 1_000))
    world.own_servers.kill(BROKER)
    world.injected.append("broker killed")
    world.await_stored(world.stored() + 1)


def broker_restarted(world: World, rng: Random) -> None:
    """The broker is stopped in order and started again, as in an upgrade."""
    world.start_sink()
    world.await_stored(rng.randrange(1, 1_000))
    world.own_servers.restart(BROKER)
    world.injected.append("broker restarted")
    world.await_stored(world.stored() + 1)


def clickhouse_slow(world: World, rng: Random) -> None:
    """ClickHouse runs for a tenth of the time."""
    world.start_sink()
    world.await_stored(rng.randrange(1, 500))
    world.own_servers.slow_down(CLICKHOUSE, _SLOW_SECONDS * (5 if world.long else 1), rng)
    world.injected.append("ClickHouse ten times slower")


FAULTS = (
    Fault(
        "broker_stopped",
        "SIGSTOP of the broker past the executor's message.timeout, then SIGCONT",
        broker_stopped,
        message_timeout_ms=_PATIENCE_MS,
        own_servers=True,
        tested=False,
    ),
    Fault("broker_killed", "kill -9 of the broker, which comes back", broker_killed, own_servers=True, tested=False),
    Fault(
        "broker_restarted",
        "the broker stops in order and starts again",
        broker_restarted,
        own_servers=True,
        tested=False,
    ),
    Fault("clickhouse_slow", "ClickHouse ten times slower, for 4 s", clickhouse_slow, own_servers=True, tested=False),
)
