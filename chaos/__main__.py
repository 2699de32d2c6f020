"""`python -m chaos`: injects faults into the real pieces and compares what was accepted with what is there.

Exit 0: everything held (or, with --mutations, every mutation was caught); 3: something did not; 1: it could not be
tried; 130 after Ctrl-C. All that it starts ends with it, however it ends.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from chaos import report
from chaos.faults import all_faults
from chaos.mutations import MUTATIONS, command
from chaos.scenario import Outcome, Run
from chaos.servers import Servers, open_servers
from taximeter_schemas.errors import TaximeterError

if TYPE_CHECKING:
    from types import FrameType

_NOT_HELD, _INTERRUPTED = 3, 130
_MUTATION_SEEDS = 4
_LONG_RUNS = 1_000


def main(argv: Sequence[str] | None = None) -> int:
    """Parses, runs, reports."""
    options = parse(sys.argv[1:] if argv is None else argv)
    console = report.console(stderr=True)
    if options.list:
        for name, fault in all_faults().items():
            report.console().print(f"{name:36} {fault.breaks}", markup=False)
        return 0
    signal.signal(signal.SIGTERM, _interrupt)
    # A dot, or mypy would take the directories of tables for packages.
    folder = report.OUT / f".run-{os.getpid()}"
    try:
        with open_servers(folder, lambda line: console.print(line, style="dim"), keep=options.keep) as servers:
            return mutations(servers, console) if options.mutations else faults(servers, console, options)
    except KeyboardInterrupt:
        console.print("interrupted; everything is stopped")
        return _INTERRUPTED
    except TaximeterError as error:
        console.print(f"error: {error}", markup=False)
        return 1
    finally:
        if folder.exists() and not any(folder.iterdir()):
            folder.rmdir()


def faults(servers: Servers, console: Console, options: argparse.Namespace) -> int:
    """Every chosen fault with every seed, seed by seed, so that a run cut short has tried all faults."""
    outcomes: list[Outcome] = []
    try:
        for run in runs(options):
            outcome = servers.carry_out(run)
            outcomes.append(outcome)
            held = "held" if outcome.green else "skip" if outcome.skipped else "RED"
            console.print(f"{held:5} {run.fault.name} --seed {run.seed}  {outcome.seconds} s", markup=False)
            if outcome.skipped:
                console.print(f"  {outcome.skipped}", markup=False)
            elif not outcome.green:
                console.print(report.told(outcome), markup=False, style="red", soft_wrap=True)
    finally:
        if outcomes:
            path = report.write(outcomes, "mutation" if options.mutation else "chaos")
            report.show(outcomes, report.console())
            console.print(f"written to chaos/out/{path.name}")
    return 0 if all(outcome.green or outcome.skipped for outcome in outcomes) else _NOT_HELD


def mutations(servers: Servers, console: Console) -> int:
    """Runs each mutated sink through the faults that expose it, until one turns red as it must."""
    caught = {name: caught_by(servers, name) for name in MUTATIONS}
    for name, outcome in caught.items():
        if outcome is None:
            console.print(f"NOT CAUGHT {name}: {MUTATIONS[name].breaks}", style="red")
        else:
            red = ", ".join(outcome.problems)
            console.print(f"caught {name} by {outcome.run.fault.name}, seed {outcome.run.seed}: {red}")
    if not all(caught.values()):
        return _NOT_HELD
    servers.forget()
    return 0


def caught_by(servers: Servers, name: str, seeds: int = _MUTATION_SEEDS) -> Outcome | None:
    """The first run in which the mutation turned one of its checks red; None where none did."""
    mutation, known = MUTATIONS[name], all_faults()
    for seed in range(1, seeds + 1):
        for fault in mutation.faults:
            outcome = servers.carry_out(Run(known[fault], seed, sink_command=command(name)))
            if mutation.caught(outcome.problems):
                return outcome
    return None


def runs(options: argparse.Namespace) -> Iterator[Run]:
    """The runs that the options ask for."""
    known = all_faults()
    chosen = [known[name] for name in options.fault or known]
    if options.group:
        chosen = [fault for fault in chosen if fault.group == options.group]
    first, count = (options.seed, 1) if options.seed is not None else (options.first, options.seeds)
    if options.long and options.seed is None:
        count = -(-_LONG_RUNS // len(chosen))
    altered = {"sink_command": command(options.mutation)} if options.mutation else {}
    for seed in range(first, first + count):
        for fault in chosen:
            yield Run(fault, seed, options.long, **altered)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The options; ends the process with code 2 and the reason when they make no sense."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description="Break the pipeline and prove it exact.")
    parser.add_argument("--fault", action="append", metavar="NAME", help="this fault only; may be given again")
    groups = sorted({fault.group for fault in all_faults().values()})
    parser.add_argument("--group", choices=groups, help="the faults of this group only")
    parser.add_argument("--seeds", type=int, default=1, help="so many seeds of each fault [default: 1]")
    parser.add_argument("--first", type=int, default=1, help="the first of them, to go on with a run [default: 1]")
    parser.add_argument("--seed", type=int, help="this seed only")
    parser.add_argument("--long", action="store_true", help="longer runs; without --seed 1,000 of them in all")
    parser.add_argument("--list", action="store_true", help="list the faults and end")
    parser.add_argument("--keep", action="store_true", help="keep the data of runs that held, too")
    parser.add_argument("--mutation", choices=sorted(MUTATIONS), help="use a sink with this fault built in")
    parser.add_argument("--mutations", action="store_true", help="check that every mutation is caught")
    options = parser.parse_args(argv)
    unknown = sorted(set(options.fault or ()) - set(all_faults()))
    if unknown:
        parser.error(f"there is no fault {', '.join(unknown)}; --list shows them")
    if options.seeds < 1:
        parser.error("--seeds must be at least 1")
    return options


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
