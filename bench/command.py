"""How a benchmark runs as a command: a local stack of its own in a temporary directory, a report, exit codes.

All that it started ends with it, on Ctrl-C and SIGTERM too; the wardens see to that even when it is killed.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from bench.harness import Machine, Report, machine, versions
from taximeter_infra.stack.local_stack import LocalStack
from taximeter_infra.stack.plan import StackPlan
from taximeter_schemas.errors import TaximeterError

if TYPE_CHECKING:
    from types import FrameType

    from taximeter_infra.stack.plan import StackAddresses

_INTERRUPTED = 130


@dataclass(frozen=True)
class Stage:
    """Where a benchmark takes place: the servers, the machine as it was before, and who is told of progress."""

    addresses: StackAddresses
    host: Machine
    versions: Mapping[str, str]
    say: Callable[[str], None]


def carry_out(measure: Callable[[Stage], Report], *, as_json: bool) -> int:
    """Exit 0 with a report, 1 when something failed on the way, 130 after Ctrl-C."""
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(stderr=True)
    try:
        report = _on_a_stack(measure, console)
    except KeyboardInterrupt:
        console.print("interrupted; everything is stopped")
        return _INTERRUPTED
    except TaximeterError as error:
        console.print(f"error: {error}", markup=False)
        return 1
    path = report.write()
    if as_json:
        sys.stdout.write(json.dumps(report.as_json(), indent=2) + "\n")
    else:
        report.show()
        console.print(f"written to bench/out/{path.name}", highlight=False)
    return 0


def rounds_of(name: str, about: str, argv: Sequence[str]) -> argparse.Namespace:
    """The options of a benchmark that repeats rounds: `rounds` (None: its own number), `quick`, `json`.

    Ends the process with code 2 and the reason when they make no sense.
    """
    parser = argparse.ArgumentParser(prog=f"python -m bench.{name}", description=about)
    parser.add_argument("--rounds", type=int, help="how often each path has its turn [default: 15]")
    parser.add_argument("--quick", action="store_true", help="tiny, to see that everything works")
    parser.add_argument("--json", action="store_true", help="print the report as JSON instead of tables")
    options = parser.parse_args(argv)
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be at least 1")
    return options


def _on_a_stack(measure: Callable[[Stage], Report], console: Console) -> Report:
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
        return measure(Stage(known, host, versions(servers), say))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
