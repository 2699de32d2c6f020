"""`python -m bench.sink`: the sink against the engine's limit and against its peers; latency, scaling, memory."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from bench.command import Stage, carry_out
from bench.harness import Report
from bench.sink import run
from bench.sink.run import Wish

LONG_BACKLOGS = (1_000_000, 10_000_000)
QUICK = Wish(
    events=4_000,
    peer_events=2_000,
    rounds=1,
    partitions=4,
    shares=(0.1,),
    window=1.0,
    sinks=(1, 2),
    backlogs=(20_000,),
    make_peers=False,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Measures what the options ask for; returns the exit code."""
    options = parse(sys.argv[1:] if argv is None else argv)

    def measure(stage: Stage) -> Report:
        found = run.measure(stage.addresses, wish_of(options), stage.say)
        return Report(
            "sink", stage.host, stage.versions, command(options), found.samples, found.ratios, reasons=found.reasons
        )

    return carry_out(measure, as_json=options.json)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The options; ends the process with code 2 and the reason when they make no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.sink", description="Measure the sink on a local stack of its own."
    )
    parser.add_argument("--events", type=int, help="backlog of the limit and of the sink [default: 1000000]")
    parser.add_argument("--peer-events", type=int, help="backlog of the others, ten times slower [default: 200000]")
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
    for name in ("events", "peer_events", "rounds", "partitions"):
        given = getattr(options, name)
        if given is not None and given < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
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
        peer_events=options.peer_events or base.peer_events,
        rounds=options.rounds or base.rounds,
        partitions=options.partitions or base.partitions,
        backlogs=backlogs,
    )


def command(options: argparse.Namespace) -> str:
    """What to type to do the same again, defaults spelt out."""
    wish = wish_of(options)
    size = " --quick" if options.quick else ""
    return (
        f"python -m bench.sink --events {wish.events} --peer-events {wish.peer_events} --rounds {wish.rounds}"
        f" --partitions {wish.partitions} --backlogs {','.join(map(str, wish.backlogs))}{size}"
    )


if __name__ == "__main__":
    sys.exit(main())
