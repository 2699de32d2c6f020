"""`python -m bench.sink`: the sink against the engine's limit and against its peers; latency, scaling, memory.

It starts a local stack of its own in a temporary directory and ends all it started, on Ctrl-C and SIGTERM too; the
wardens see to that even when it is killed.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from bench.harness import Report, machine, versions
from bench.sink import run
from bench.sink.run import Wish
from taximeter_infra.stack.local_stack import LocalStack
from taximeter_infra.stack.plan import StackPlan
from taximeter_schemas.errors import TaximeterError

if TYPE_CHECKING:
    from types import FrameType

_INTERRUPTED = 130
LONG_BACKLOGS = (1_000_000, 10_000_000)
QUICK = Wish(
    events=4_000,
    rounds=1,
    partitions=4,
    shares=(0.1,),
    window=1.0,
    sinks=(1, 2),
    backlogs=(20_000,),
    make_peers=False,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit 0 with a report, 1 when something failed on the way, 130 after Ctrl-C."""
    options = parse(sys.argv[1:] if argv is None else argv)
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(stderr=True)
    try:
        report = measure(options, console)
    except KeyboardInterrupt:
        console.print("interrupted; everything is stopped")
        return _INTERRUPTED
    except TaximeterError as error:
        console.print(f"error: {error}", markup=False)
        return 1
    path = report.write()
    if options.json:
        sys.stdout.write(json.dumps(report.as_json(), indent=2) + "\n")
    else:
        report.show()
        console.print(f"written to bench/out/{path.name}", highlight=False)
    return 0


def measure(options: argparse.Namespace, console: Console) -> Report:
    """All of it on one stack. Raises TaximeterError; nothing is left running then."""

    def say(line: str) -> None:
        console.print(line, style="dim", highlight=False)

    host = machine()
    say("starting the broker and ClickHouse")
    with (
        tempfile.TemporaryDirectory(prefix="taximeter-bench-") as folder,
        LocalStack(StackPlan.on_free_ports(Path(folder))) as stack,
    ):
        known = stack.addresses
        servers = {known.broker_product: known.broker_version, "ClickHouse": known.clickhouse_version}
        found = run.measure(known, wish_of(options), say)
        return Report(
            "sink", host, versions(servers), command(options), found.samples, found.ratios, reasons=found.reasons
        )


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The options; ends the process with code 2 and the reason when they make no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.sink", description="Measure the sink on a local stack of its own."
    )
    parser.add_argument("--events", type=int, help="backlog of the rounds [default: 400000]")
    parser.add_argument("--rounds", type=int, help="how often each path reads it [default: 5]")
    parser.add_argument("--partitions", type=int, help="of the topic [default: 12, as `taximeter topics create`]")
    parser.add_argument("--backlogs", help="for the peak of memory, comma-separated [default: 1000000]")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument(
        "--quick", action="store_true", help="tiny, to see that everything works; no peers are installed"
    )
    sizes.add_argument("--long", action="store_true", help="a backlog of 10 million events too; takes minutes more")
    parser.add_argument("--json", action="store_true", help="print the report as JSON instead of tables")
    options = parser.parse_args(argv)
    for name in ("events", "rounds", "partitions"):
        given = getattr(options, name)
        if given is not None and given < 1:
            parser.error(f"--{name} must be at least 1")
    try:
        sizes_given = [int(one) for one in (options.backlogs or "1").split(",")]
    except ValueError:
        sizes_given = [0]
    if min(sizes_given) < 1:
        parser.error("--backlogs must be numbers from 1, comma-separated")
    return options


def wish_of(options: argparse.Namespace) -> Wish:
    """What the options ask for: those given, over the defaults of the size."""
    base = QUICK if options.quick else Wish(backlogs=LONG_BACKLOGS) if options.long else Wish()
    backlogs = base.backlogs
    if options.backlogs:
        backlogs = tuple(int(one) for one in options.backlogs.split(","))
    return replace(
        base,
        events=options.events or base.events,
        rounds=options.rounds or base.rounds,
        partitions=options.partitions or base.partitions,
        backlogs=backlogs,
    )


def command(options: argparse.Namespace) -> str:
    """What to type to do the same again, defaults spelt out."""
    wish = wish_of(options)
    size = " --quick" if options.quick else ""
    return (
        f"python -m bench.sink --events {wish.events} --rounds {wish.rounds} --partitions {wish.partitions}"
        f" --backlogs {','.join(map(str, wish.backlogs))}{size}"
    )


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
