"""`python -m bench.pipeline`: emitted to visible in the rollups, in events per second and in milliseconds.

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
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from bench import freshness, throughput
from bench.freshness import Load
from bench.harness import Report, machine, versions
from taximeter_infra.stack.local_stack import LocalStack
from taximeter_infra.stack.plan import StackPlan
from taximeter_schemas.errors import TaximeterError

if TYPE_CHECKING:
    from types import FrameType

_INTERRUPTED = 130


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
    """Both measurements on one stack. Raises TaximeterError; nothing is left running then."""

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
        samples, ratios = throughput.measure(known, options.events, options.pairs, say)
        load = Load(options.rate, options.seconds, options.interval)
        fresh_samples, fresh_ratios = freshness.measure(known, load, say)
        return Report(
            "pipeline", host, versions(servers), command(options), samples | fresh_samples, ratios | fresh_ratios
        )


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The options; ends the process with code 2 and the reason when they make no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.pipeline", description="Measure the pipeline on a local stack of its own."
    )
    parser.add_argument("--events", type=int, default=100_000, help="backlog for the throughput [default: 100000]")
    parser.add_argument("--pairs", type=int, default=3, help="sink alone, then with rollups [default: 3]")
    parser.add_argument("--rate", type=float, default=500, help="events/s while freshness is probed [default: 500]")
    parser.add_argument("--seconds", type=float, default=20, help="for how long [default: 20]")
    parser.add_argument(
        "--interval", type=float, default=1.0, help="seconds between ticks then [default: 1, as `taximeter aggregate`]"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON instead of tables")
    options = parser.parse_args(argv)
    for name, least in (("events", 1), ("pairs", 1), ("rate", 1), ("seconds", 5), ("interval", 0.05)):
        if getattr(options, name) < least:
            parser.error(f"--{name} must be at least {least}")
    return options


def command(options: argparse.Namespace) -> str:
    """What to type to do the same again, defaults spelt out."""
    spelt = (f"--{name} {getattr(options, name):g}" for name in ("rate", "seconds", "interval"))
    return f"python -m bench.pipeline --events {options.events} --pairs {options.pairs} {' '.join(spelt)}"


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
