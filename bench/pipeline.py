"""`python -m bench.pipeline`: emitted to visible in the rollups, in events per second and in milliseconds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from bench import freshness, throughput
from bench.command import Stage, carry_out
from bench.freshness import Load
from bench.harness import Report


def main(argv: Sequence[str] | None = None) -> int:
    """Measures what the options ask for; returns the exit code."""
    options = parse(sys.argv[1:] if argv is None else argv)

    def measure(stage: Stage) -> Report:
        samples, ratios = throughput.measure(stage.addresses, options.events, options.pairs, stage.say)
        load = Load(options.rate, options.seconds, options.interval)
        fresh_samples, fresh_ratios = freshness.measure(stage.addresses, load, stage.say)
        return Report(
            "pipeline", stage.host, stage.versions, command(options), samples | fresh_samples, ratios | fresh_ratios
        )

    return carry_out(measure, as_json=options.json)


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


if __name__ == "__main__":
    sys.exit(main())
