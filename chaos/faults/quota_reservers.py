"""Quotas: many reserve at once against one hard limit, while those who decide are killed, put to sleep, or cut off."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from random import Random

from chaos.faults.fault import Fault, Inject
from chaos.own_servers import BROKER, CLICKHOUSE
from chaos.process import Process
from chaos.quota.site import Site, open_site
from chaos.world import World
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.quota.answers import Status

GROUP = "quota"
_TOKENS = 40_000
_TAKEN_OVER = "partition taken over"


def without_events(fault: Inject) -> Inject:
    """No event shows what these callers use. So everything is closed and shown before anything is rolled up: afterwards
    the service would know that no event is to come, and count what was confirmed no longer."""

    def inject(world: World, rng: Random) -> None:
        fault(world, rng)
        with open_site(world) as site:
            site.finish(rng)

    return inject


def under_fire(seconds: float, pause: tuple[float, float] = (1.5, 5.0), patience: float = 3.0) -> Inject:
    """Kill -9 of a service, a `pause` after the last one at most, while 64 callers reserve, each with so much patience;
    some services have a name of their own in the group."""

    def inject(world: World, rng: Random) -> None:
        with open_site(world) as site:
            account = site.account("busy", _TOKENS)
            services = [site.start_service(_name(rng)) for _ in range(rng.choice((2, 3)))]
            site.await_known()
            started = [start_half(world, site, account, 32, seconds, patience) for _ in range(2)]
            while any(one.running for one in started):
                # Every few seconds, or once so many calls are over.
                site.await_answered(rng.randrange(150, 800), rng.uniform(*pause))
                at = rng.randrange(len(services))
                services[at].kill()
                world.injected.append(f"quota service {at + 1} killed after {site.answered} calls")
                services[at] = site.start_service(_name(rng))

    return inject


def start_half(world: World, site: Site, account: str, callers: int, seconds: float, patience: float = 3.0) -> Process:
    """A process with half of the callers."""
    lasting = seconds * (3 if world.long else 1)
    settings = {"TAXIMETER_QUOTA_ANSWER_SECONDS": str(patience)}
    # Time for every attempt to close a hold, and little more: what is not closed is waited for in the end.
    sizes = ("--callers", callers, "--seconds", lasting, "--ttl", int(4 * patience))
    return site.start_reservers(account, *sizes, **settings)


def _await_callers(world: World, callers: Sequence[Process]) -> None:
    world.await_condition(lambda: not any(one.running for one in callers), "the callers to end")


def _name(rng: Random) -> str:
    """A name of its own for the group's memory, or none: then the partitions wait for the session's end."""
    return f"quota-{rng.randrange(10**9)}" if rng.random() < 0.3 else ""


def zombies(world: World, rng: Random) -> None:
    """A service sleeps for longer than its session; another takes over; it wakes up and goes on where it was."""
    with open_site(world) as site:
        account = site.account("busy", _TOKENS)
        services = [site.start_service() for _ in range(2)]
        site.await_known()
        reservers = [start_half(world, site, account, 24, 15) for _ in range(2)]
        for lap in range(4 if world.long else 2):
            at = lap % 2 if rng.random() < 0.8 else rng.randrange(2)
            sleeper, other = services[at], services[1 - at]
            site.await_answered(rng.randrange(50, 400))
            before = other.log().count(_TAKEN_OVER)
            sleeper.signal(signal.SIGSTOP)
            world.await_condition(lambda n=before, o=other: o.log().count(_TAKEN_OVER) > n, "a take-over")  # type: ignore[misc]  # bound defaults
            site.await_answered(rng.randrange(20, 300))
            sleeper.signal(signal.SIGCONT)
            world.injected.append("a quota service slept while another took over, and woke up")
        _await_callers(world, reservers)


def broker_restarted(world: World, rng: Random) -> None:
    """The broker is killed or restarted under commands, answers and checkpoints; a service may die with it."""
    with open_site(world) as site:
        account = site.account("busy", _TOKENS)
        services = [site.start_service() for _ in range(2)]
        site.await_known()
        reservers = [start_half(world, site, account, 16, 20) for _ in range(2)]
        for _ in range(3 if world.long else 2):
            site.await_answered(rng.randrange(50, 400))
            gently = rng.random() < 0.5
            if rng.random() < 0.4:
                services[0].kill()
            (world.own_servers.restart if gently else world.own_servers.kill)(BROKER)
            world.injected.append(f"the broker {'restarted' if gently else 'killed'}")
            if not services[0].running:
                services[0] = site.start_service()
        _await_callers(world, reservers)


def clickhouse_away(world: World, rng: Random) -> None:
    """ClickHouse does not answer: who is known is decided all the same, who is not is told that it is not known."""
    with open_site(world) as site:
        account = site.account("busy", 10 * _TOKENS)
        services = [site.start_service() for _ in range(2)]
        site.await_known()
        seen = world.quotas.seen
        seen |= {"a decision without ClickHouse": 0, "that unknown is not zero": 0}
        reservers = [start_half(world, site, account, 16, 15) for _ in range(2)]
        for lap in range(2):
            site.await_answered(rng.randrange(50, 300))
            world.own_servers.signal(CLICKHOUSE, signal.SIGSTOP)
            try:
                world.injected.append("ClickHouse stopped")
                if rng.random() < 0.5:
                    services[0].kill()
                    services[0] = site.start_service()
                stranger = f"stranger-{lap}"
                seen["that unknown is not zero"] += _hears(site, stranger, Status.UNAVAILABLE)
                seen["a decision without ClickHouse"] += _hears(site, account, Status.GRANTED)
                site.await_answered(rng.randrange(50, 300))
            finally:
                world.own_servers.signal(CLICKHOUSE, signal.SIGCONT)
        _await_callers(world, reservers)


def _hears(site: Site, account: str, status: Status) -> bool:
    return wait_until(lambda: site.reserve(account, 1) is status, 20.0)


def callers_killed(world: World, rng: Random) -> None:
    """Executors are killed with open holds and leases: those count until they expire, and services die as well."""
    with open_site(world) as site:
        account = site.account("busy", _TOKENS)
        services = [site.start_service() for _ in range(2)]
        site.await_known()
        for _ in range(6 if world.long else 3):
            reservers = site.start_reservers(account, "--callers", 24, "--seconds", 600, "--ttl", 6)
            gates = site.start_gates(account)
            site.await_answered(rng.randrange(50, 400))
            if rng.random() < 0.5:
                services[0].kill()
                services[0] = site.start_service()
            for process in (reservers, gates):
                site.kill_caller(process, world.quotas.callers[-2 if process is reservers else -1])
        last = start_half(world, site, account, 24, 5)
        _await_callers(world, [last])
        world.injected.append(f"executors killed by {time.strftime('%H:%M:%S', time.gmtime())}")


def _fault(name: str, breaks: str, inject: Inject, *, own_servers: bool = False) -> Fault:
    return Fault(
        f"quota_{name}", breaks, without_events(inject), GROUP, events=100, rate=50, own_servers=own_servers,
        tested=False, aggregates_along=False,
    )  # fmt: skip


FAULTS = (
    _fault("reservers_under_fire", "64 reserve at once for a minute, quota services are killed", under_fire(60.0)),
    _fault("zombie_service", "a quota service sleeps while another takes over, and wakes up", zombies),
    _fault("broker_restarted", "the broker dies under reservations", broker_restarted, own_servers=True),
    _fault("clickhouse_away", "ClickHouse is away under reservations", clickhouse_away, own_servers=True),
    _fault("callers_killed", "kill -9 of executors with open holds and leases", callers_killed),
)
