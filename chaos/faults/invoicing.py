"""Invoices are run twice at once and die while events come late; what was spooled comes after its invoice."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

from chaos.faults.fault import Fault
from chaos.faults.spool import await_nodes, await_spooled, empty
from chaos.outage import outage
from chaos.world import World
from taximeter_consumers.billing import Request, close_periods
from taximeter_consumers.failpoints import INVOICE
from taximeter_schemas.errors import Misconfigured, Retryable

# The streams' events lie around the end of July.
_JULY, _AUGUST, _SEPTEMBER = "2026-07", "2026-08", "2026-09"
_LATEST_VISIT: Final = 3
_RATE: Final = ("--rate", "400")


def killed(world: World, rng: Random) -> None:
    """Two runs at once die at each step, until two more finish July; then the same for August, which has what is late
    of July."""
    world.start_sink()
    if not world.running("aggregator"):
        world.start_aggregator()
    world.await_stored(rng.randrange(500, 900))
    for label in (_JULY, _AUGUST):
        world.await_rolled_up()
        for point in rng.sample(INVOICE, len(INVOICE)):
            two_runs(world, label, [f"{point}@{rng.randint(1, _LATEST_VISIT)}" for _ in range(2)])
        two_runs(world, label, [None, None])
        world.await_stored(world.stored() + rng.randrange(100, 600))


def finished(world: World, _: Random) -> None:
    """Two runs at once for each period, as often as it takes until nothing is late any more."""
    for label in (_JULY, _AUGUST, _SEPTEMBER):
        two_runs(world, label, [None, None])
    world.billed += [_JULY, _AUGUST]
    _must_have_late_lines(world)


def two_runs(world: World, label: str, failpoints: list[str | None]) -> None:
    """`taximeter invoice run` twice at once. One that is armed and finds nothing to do ends as it should."""
    runs = [world.start_command("invoice", "run", "--period", label, failpoint=where) for where in failpoints]
    world.await_condition(lambda: not any(run.running for run in runs), f"invoices of {label}")
    dead = [where for run, where in zip(runs, failpoints, strict=True) if run.died]
    if dead:
        world.injected.append(f"invoices of {label}: killed at {', '.join(map(str, dead))}")


def spooled(world: World, rng: Random) -> None:
    """Events of a metered executor are spooled while their period is closed, and arrive when it is invoiced."""
    world.start_sink()
    world.start_aggregator()
    with outage(world, rng) as away:
        executor = away.start_metered(*_RATE)
        await_nodes(world, executor, rng.randrange(200, 600))
        sql = "SELECT count() FROM charges WHERE account_id LIKE 'account-%'"
        world.await_condition(lambda: world.clickhouse.scalar(sql) > 0, "charges of metered events")
        away.begin()
        await_spooled(world, executor, rng.randrange(50, 600))
        # What is on its way would keep the period open.
        sender = world.running("executor")[0]
        sender.signal(signal.SIGSTOP)
        world.billed.append(f"{datetime.now(UTC):%Y-%m}")
        try:
            world.await_condition(lambda: _closed(world, world.billed[0]), "the period to be invoiced")
        finally:
            sender.signal(signal.SIGCONT)
        world.injected.append(f"{world.billed[0]} invoiced while events of it are spooled")
        away.end()
        empty(world, away)


def closed_later(world: World, _: Random) -> None:
    """The periods after it are closed, as if their time had come, the first one once more."""
    following = _after(world.billed[0])
    for label in (world.billed[0], following, _after(following), following):
        if not _closed(world, label):
            raise Retryable(f"{label} cannot be invoiced")
    world.billed.append(following)
    _must_have_late_lines(world)


def _closed(world: World, label: str) -> bool:
    """Closes a period as at its closing time; False where events wait to be rolled up."""
    now = datetime.strptime(_after(_after(label)), "%Y-%m").replace(tzinfo=UTC)
    try:
        report = close_periods(world.clickhouse, Request(label), now)
    except Misconfigured:
        return False
    if report.refused:
        raise Retryable(f"accounts are not invoiced: {report.refused}")
    return True


def _after(label: str) -> str:
    begins = datetime.strptime(label, "%Y-%m").replace(tzinfo=UTC)
    return f"{begins + timedelta(days=32):%Y-%m}"


def _must_have_late_lines(world: World) -> None:
    late = world.clickhouse.scalar("SELECT count() FROM invoice_lines WHERE kind = 'late'")
    if not late:
        raise Retryable("nothing came late, so nothing was tried")
    world.injected.append(f"{late} lines of what came late")


FAULTS = (
    Fault(
        "invoice_runs_killed",
        f"two `invoice run` at once, both killed, at {', '.join(INVOICE)}, while events still come",
        killed,
        settle=finished,
        tested=False,
    ),
    Fault(
        "spooled_past_invoice",
        "spooled events arrive when their period is invoiced; the next invoice has them, once",
        spooled,
        settle=closed_later,
        events=500,
        rate=200,
        tested=False,
        aggregates_along=False,
    ),
)
