"""Quotas: executors with gates go on without the service, and what they use comes to the same sum everywhere."""

from __future__ import annotations

import signal
from collections.abc import Callable
from random import Random

from chaos.checks.quotas import used_by_account
from chaos.evidence import gather
from chaos.faults.fault import Fault, Inject
from chaos.faults.quota_reservers import GROUP, without_events
from chaos.faults.spool import await_nodes, await_spooled, empty, end, told_by
from chaos.outage import outage
from chaos.process import Process
from chaos.quota.site import TOKENS, Site, open_site
from chaos.world import World
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.quota.limits import OnOutage

_GATED = ("--gate", "--rate", "12")
_LEASE_SECONDS = 40
_ACCOUNTS = 5
_PLENTY = 10**9
# Enough for some of the nodes of one account, so that its executors are refused in the end.
_TIGHT = 2_000_000


def service_stopped(seconds: float, executors: int = 3) -> Inject:
    """Nobody decides for a while, shorter or longer than leases last; then the policy of the limit holds."""

    def inject(world: World, rng: Random) -> None:
        policy = rng.choice((OnOutage.CLOSED, OnOutage.OPEN))
        with open_site(world) as site:
            account = site.account("gated", rng.choice((6_000, 60_000)), policy)
            service = site.start_service("quota-1")
            site.await_known()
            gates = [site.start_gates(account, "--rate", 20, "--most", 20) for _ in range(executors)]
            for _ in range(4 if world.long else 2):
                site.await_answered(rng.randrange(200, 800), seconds)
                killed = rng.random() < 0.5
                if killed:
                    service.kill()
                else:
                    service.signal(signal.SIGSTOP)
                how = "killed" if killed else "put to sleep"
                world.injected.append(f"the only quota service {how}, limits fail {policy.value}")
                with site.stopped():
                    # Leases last four seconds: in some laps they end meanwhile, in others not.
                    site.await_answered(10**9, rng.uniform(0.25, 1.0) * seconds)
                if killed:
                    service = site.start_service("quota-1")
                else:
                    service.signal(signal.SIGCONT)
                site.await_known()
            for gate in gates:
                gate.stop()

    return inject


def _accounts(world: World, site: Site) -> None:
    world.quotas.metered = True
    world.environment |= {"TAXIMETER_QUOTA_ANSWER_SECONDS": "3", "TAXIMETER_QUOTA_LEASE_SECONDS": "6"}
    for number in range(_ACCOUNTS):
        site.account(f"account-{number}", _PLENTY if number else _TIGHT)


def conserved(world: World, rng: Random) -> None:
    """Everything runs, and one of everything is killed: service, sink, aggregator, executor."""
    with open_site(world) as site:
        _accounts(world, site)
        start: dict[str, Callable[[], Process]] = {
            "service": site.start_service,
            "sink": world.start_sink,
            "aggregator": world.start_aggregator,
        }
        running = {name: begin() for name, begin in start.items()}
        site.await_known()
        executors = [world.start_metered(*_GATED) for _ in range(2)]
        victims = [*running, "executor"]
        rng.shuffle(victims)
        for victim in victims:
            await_nodes(world, executors[1], rng.randrange(30, 90))
            watch(site)
            if victim == "executor":
                executors[0].kill()
                executors[0] = world.start_metered(*_GATED)
            else:
                running[victim].kill()
                running[victim] = start[victim]()
            world.injected.append(f"{victim} killed")
            watch(site)
        await_nodes(world, executors[1], rng.randrange(30, 90))
        watch(site)
        _end(world, executors)


def late_and_twice(world: World, rng: Random) -> None:
    """Executors lose the broker and spool, so that events come late; sinks die after their inserts, so that they are
    inserted again; `show` is asked all along."""
    with open_site(world) as site:
        _accounts(world, site)
        site.start_service()
        world.start_aggregator()
        site.await_known()
        # Leases that outlast the outage, or nobody would work within it.
        world.environment |= {
            "TAXIMETER_QUOTA_LEASE_SECONDS": str(_LEASE_SECONDS),
            "TAXIMETER_QUOTA_LEASE_CHECKS": "300",
        }
        with outage(world, rng) as away:
            executor = away.start_metered(*_GATED)
            sink = world.start_sink(failpoint=f"sink.after_insert@{rng.randint(3, 20)}")
            await_nodes(world, executor, rng.randrange(30, 120))
            watch(site)
            away.begin()
            goal = len(told_by(world, executor).spooled) + rng.randrange(1, 30)
            await_spooled(world, executor, 1)
            # Who has no lease any more does nothing that could be spooled.
            wait_until(lambda: len(told_by(world, executor).spooled) >= goal, _LEASE_SECONDS)
            watch(site)
            if rng.random() < 0.5:
                executor.kill()
                world.injected.append("the executor killed while it spills")
                executor = away.start_metered(*_GATED)
            away.end()
            if not wait_until(lambda: not sink.running, 5.0):
                sink.kill()
            world.injected.append("a sink killed")
            world.start_sink()
            for _ in range(3):
                watch(site)
                await_nodes(world, executor, rng.randrange(10, 40))
            empty(world, away)
        watch(site)


def watch(site: Site) -> None:
    """Asks how all accounts stand; the verdict holds every answer against what was used by then."""
    for number in range(_ACCOUNTS):
        site.show(f"account-{number}")


def _end(world: World, executors: list[Process]) -> None:
    for executor in executors:
        end(world, executor)
    # One that meters nothing sends what the killed one left in the spool.
    last = world.start_metered()
    world.await_condition(lambda: not world.in_spool(), "the spool to be empty")
    end(world, last)


def finish_metered(world: World, rng: Random) -> None:
    """The service comes to see all events, and then what was forgotten is closed."""
    used = used_by_account(gather(world))
    with open_site(world) as site:
        site.finish(rng, lambda account: used.get(account, {}).get(TOKENS, 0))


FAULTS = (
    Fault(
        "quota_service_stopped", "the quota service is stopped under executors with leases",
        without_events(service_stopped(12.0)), GROUP, events=100, rate=50, tested=False, aggregates_along=False,
    ),
    Fault(
        "quota_conserved", "kill -9 of one of everything while executors work behind gates", conserved,
        GROUP, events=100, rate=50, tested=False, aggregates_along=False, settle=finish_metered,
    ),
    Fault(
        "quota_events_late_and_twice", "events of reserved work are spooled and inserted twice", late_and_twice,
        GROUP, events=100, rate=50, own_servers=True, tested=False, aggregates_along=False, settle=finish_metered,
    ),
)  # fmt: skip
