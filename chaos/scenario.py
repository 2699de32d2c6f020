"""One run: a world, a fault in it, the end of the fault, the rest drained, and the verdict."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from chaos.audit import audited
from chaos.checks import judge
from chaos.evidence import Evidence, gather
from chaos.faults.fault import Fault
from chaos.own_servers import OwnServers
from chaos.quota.evidence import counted
from chaos.world import Input, World, open_world
from taximeter_infra.stack.plan import StackAddresses
from taximeter_schemas.errors import TaximeterError

OWN_SINK = ("-m", "taximeter_infra", "sink")


@dataclass(frozen=True)
class Run:
    """What to run: the fault, the seed, whether at length, and the sink's command (a mutation has its own)."""

    fault: Fault
    seed: int
    long: bool = False
    sink_command: tuple[str, ...] = OWN_SINK

    @property
    def again(self) -> str:
        """How to run the same again."""
        return f"python -m chaos --fault {self.fault.name} --seed {self.seed}{' --long' if self.long else ''}"


@dataclass
class Outcome:
    """What came of a run: problems by check (none: it is proven), and where its data are."""

    run: Run
    folder: Path
    database: str = ""
    # The directory of the servers, for `taximeter up`.
    servers: Path | None = None
    # Why the run could not be tried on this machine; it then neither held nor failed.
    skipped: str = ""
    problems: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    injected: list[str] = field(default_factory=list)

    @property
    def green(self) -> bool:
        """Whether everything held."""
        return not self.problems and not self.skipped


def carry_out(run: Run, addresses: StackAddresses, folder: Path, servers: OwnServers | None = None) -> Outcome:
    """Runs it; `servers` where the fault may hurt them. What goes wrong on the way is a problem of the check `run`;
    nothing of it is left running."""
    outcome, began = Outcome(run, folder), time.monotonic()
    fault = run.fault
    sent = Input(run.seed, fault.stream, fault.events * (5 if run.long else 1), fault.rate, fault.message_timeout_ms)
    try:
        with open_world(addresses, folder, sent) as world:
            outcome.database, world.long, world.sink_command = world.name, run.long, run.sink_command
            outcome.injected, world.servers = world.injected, servers
            try:
                _take_place(run, world)
            except TaximeterError as error:
                # What is there then is looked at all the same: it says more than the end of a log.
                outcome.problems["run"] = [str(error)]
            evidence = gather(world)
            outcome.facts = facts(evidence)
            outcome.problems |= judge(evidence, {**fault.waives, **world.waived})
            if outcome.green:
                outcome.problems |= audited(world)
    except TaximeterError as error:
        outcome.problems.setdefault("run", []).append(str(error))
    outcome.seconds = round(time.monotonic() - began, 2)
    return outcome


def _take_place(run: Run, world: World) -> None:
    rng = Random(f"{run.fault.name}/{run.seed}")
    if run.seed % 4 < 2:
        world.stop_merges()
    world.start_executor()
    if run.fault.aggregates_along and run.seed % 2:
        world.start_aggregator()
    run.fault.inject(world, rng)
    drain(world)
    if run.fault.settle is not None:
        run.fault.settle(world, rng)


def drain(world: World) -> None:
    """Tells the executor that it is enough, then stores and rolls up all that is left."""
    world.enough.touch()
    world.await_condition(lambda: not world.running("executor"), "the executor to end")
    if world.written().open:
        world.start_executor()
        world.await_condition(lambda: not world.running("executor"), "the executor to end")
    for sink in world.running("sink"):
        sink.stop()
    last = world.start_sink("--until-caught-up")
    world.await_condition(lambda: not last.running, "the last sink to catch up")
    for aggregator in world.running("aggregator"):
        aggregator.stop()
    final = world.start_aggregator("--json")
    world.await_condition(lambda: not final.running, "the last tick")


def facts(evidence: Evidence) -> dict[str, Any]:
    """Counts for the report."""
    places = evidence.copies.places
    return {
        "entries": len(evidence.written.entries),
        "log": len(evidence.log),
        "rows": len(evidence.rows),
        "physical": evidence.copies.rows,
        "copies_by_sink": evidence.copies.rows - places,
        "copies_by_producer": places - len(evidence.rows),
        "merged": evidence.copies.merged,
        "dead_letters": len(evidence.letters),
        "batches": len(evidence.ranges),
        **({} if evidence.quotas is None else counted(evidence.quotas)),
    }
