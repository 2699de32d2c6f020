"""`python -m bench.rollup`: a tick that touches a thousand runs, over a few stored events and over many; and what a
tick asks of the ledger, over a short one and a long one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import product

from bench.command import Stage, carry_out
from bench.harness import Report, Sample, pair_ratios
from bench.rollup import ledgers
from bench.rollup.history import EVENTS_OF_ACCOUNT, fill
from bench.rollup.ticks import ACCOUNTS, Ticker
from bench.sites import open_site
from taximeter_schemas.settings import TopicSettings

SMALL, LARGE, ROUNDS = 1_000_000, 50_000_000, 15
_QUICK = (1_000_000, 2_000_000, 3)
# A tick looks an hour back, which is 205,000 batches here: both ledgers are longer.
LEDGERS = {"short": 300_000, "long": 10_000_000}
_QUICK_LEDGERS = {"short": 300_000, "long": 600_000}
_LEAST = ACCOUNTS * EVENTS_OF_ACCOUNT


def main(argv: Sequence[str] | None = None) -> int:
    """Measures what the options ask for; returns the exit code."""
    options = parse(sys.argv[1:] if argv is None else argv)
    return carry_out(lambda stage: measure(stage, options), as_json=options.json)


def measure(stage: Stage, options: argparse.Namespace) -> Report:
    """Ticks over both histories in turns, the latest runs and scattered ones."""
    found: dict[str, list[float]] = {}
    with ExitStack() as held:
        tickers = {}
        for name, rows in (("small", options.small), ("large", options.rows)):
            stage.say(f"filling {rows:,} events")
            site = held.enter_context(open_site(f"bench_rollup_{name}", stage.addresses, TopicSettings()))
            tickers[name] = Ticker(fill(site.clickhouse, rows, stage.say))
        for ticker, scattered in product(tickers.values(), (False, True)):
            ticker.touch_and_tick(scattered=scattered)
        for turn in range(options.rounds):
            stage.say(f"round {turn + 1} of {options.rounds}")
            for scattered, (name, ticker) in product((False, True), tickers.items()):
                taken = ticker.touch_and_tick(scattered=scattered)
                found.setdefault(f"{'scattered' if scattered else 'latest'}_{name}", []).append(taken)
    found |= _looks(stage, options)
    ratios = {
        "tick_50m_vs_1m": pair_ratios(found["latest_large"], found["latest_small"]),
        "tick_scattered_50m_vs_1m": pair_ratios(found["scattered_large"], found["scattered_small"]),
        "look_10m_vs_300k": pair_ratios(found["look_long"], found["look_short"]),
    }
    samples = {name: Sample("ms/tick", tuple(values)) for name, values in found.items()}
    return Report("rollup", stage.host, stage.versions, command(options), samples, ratios)


def _looks(stage: Stage, options: argparse.Namespace) -> dict[str, list[float]]:
    """What a tick asks of both ledgers, in turns."""
    found: dict[str, list[float]] = {}
    with ExitStack() as held:
        lookers = {}
        for name, batches in (_QUICK_LEDGERS if options.quick else LEDGERS).items():
            stage.say(f"a ledger of {batches:,} batches")
            site = held.enter_context(open_site(f"bench_ledger_{name}", stage.addresses, TopicSettings()))
            lookers[name] = ledgers.fill(site.clickhouse, batches)
        for looker in lookers.values():
            looker.look()
        for _, (name, looker) in product(range(options.rounds), lookers.items()):
            found.setdefault(f"look_{name}", []).append(looker.look())
    return found


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The options; ends the process with code 2 and the reason when they make no sense."""
    parser = argparse.ArgumentParser(prog="python -m bench.rollup", description="Measure ticks on a stack of its own.")
    parser.add_argument("--rows", type=int, help=f"events of the large history [default: {LARGE:,}]")
    parser.add_argument("--small", type=int, help=f"events of the small one [default: {SMALL:,}]")
    parser.add_argument("--rounds", type=int, help=f"how often each has its turn [default: {ROUNDS}]")
    parser.add_argument("--quick", action="store_true", help="tiny, to see that everything works")
    parser.add_argument("--json", action="store_true", help="print the report as JSON instead of tables")
    options = parser.parse_args(argv)
    small, rows, rounds = _QUICK if options.quick else (SMALL, LARGE, ROUNDS)
    options.small, options.rows = options.small or small, options.rows or rows
    options.rounds = options.rounds or rounds
    if options.rounds < 1 or options.small < _LEAST or options.rows < options.small:
        parser.error(f"at least one round, at least {_LEAST:,} events, and --rows not below --small")
    return options


def command(options: argparse.Namespace) -> str:
    """What to type to do the same again."""
    return f"python -m bench.rollup --small {options.small} --rows {options.rows} --rounds {options.rounds}"


if __name__ == "__main__":
    sys.exit(main())
