"""`python -m bench.api`: reads of runs through the real API, at one and at eight callers, with many events stored."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from statistics import median
from typing import Any

from bench.api.clients import Target, ask, clickhouse_target
from bench.api.shapes import NAMES, TYPICAL, Runs, add_shapes
from bench.command import Stage, carry_out
from bench.harness import Report, Sample, pair_ratios, percentile, significant
from bench.rollup.history import EVENTS_OF_ACCOUNT, ROLLED_UP, fill
from bench.sites import Site, open_site, require_alive
from taximeter_consumers.api import key_store
from taximeter_consumers.api.keys import ALL_ACCOUNTS, Key, Scope, hash_of, made, text_of
from taximeter_infra.stack.room import free_ports
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.errors import Retryable
from taximeter_schemas.settings import TopicSettings

ROWS, ROUNDS, EACH = 10_000_000, 5, 200
CLIENTS = (1, 8)
_LEAST = ROLLED_UP * EVENTS_OF_ACCOUNT
_QUICK = (_LEAST, 2, 20)
_TURN = 20  # requests of one path before the next one has its turn
_FLOORS = ("healthz", "select_1")
Found = dict[str, list[float]]


@dataclass(frozen=True)
class ApiReport(Report):
    """With the figure that is asked for by name at the top."""

    def as_json(self) -> dict[str, Any]:
        """`run_p99_ms`: of typical runs, the median of the rounds' p99, by how many callers there are."""
        top = {
            str(clients): significant(median(self.samples[f"{TYPICAL}_{clients}_p99"].values)) for clients in CLIENTS
        }
        return {**super().as_json(), "run_p99_ms": top}


@dataclass(frozen=True)
class Stand:
    """Where the questions go."""

    api: Target
    clickhouse: Target
    runs: Runs

    def ask(self, name: str, count: int, clients: int, random: Random) -> list[float]:
        """Milliseconds of each of `count` questions of a name."""
        if name == "select_1":
            return ask(self.clickhouse, ["/?query=SELECT%201"] * count, clients)
        paths = ["/healthz"] * count if name == "healthz" else self.runs.paths(name, count, random)
        return ask(self.api, paths, clients)


def main(argv: Sequence[str] | None = None) -> int:
    """Measures what the options ask for; returns the exit code."""
    options = parse(sys.argv[1:] if argv is None else argv)
    return carry_out(lambda stage: measure(stage, options), as_json=options.json)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The options; ends the process with code 2 and the reason when they make no sense."""
    parser = argparse.ArgumentParser(prog="python -m bench.api", description="Measure reads of runs by HTTP.")
    parser.add_argument("--rows", type=int, help=f"stored events [default: {ROWS:,}]")
    parser.add_argument("--rounds", type=int, help=f"how often each path has its turn [default: {ROUNDS}]")
    parser.add_argument("--each", type=int, help=f"requests of each path in a round [default: {EACH}]")
    parser.add_argument("--quick", action="store_true", help="small, to see that everything works")
    parser.add_argument("--json", action="store_true", help="print the report as JSON instead of tables")
    options = parser.parse_args(argv)
    rows, rounds, each = _QUICK if options.quick else (ROWS, ROUNDS, EACH)
    options.rows, options.rounds, options.each = options.rows or rows, options.rounds or rounds, options.each or each
    if options.rows < _LEAST or options.rounds < 1 or options.each < max(CLIENTS):
        parser.error(f"at least {_LEAST:,} events, one round, and {max(CLIENTS)} requests in each")
    return options


def command(options: argparse.Namespace) -> str:
    """What to type to do the same again."""
    return f"python -m bench.api --rows {options.rows} --rounds {options.rounds} --each {options.each}"


def measure(stage: Stage, options: argparse.Namespace) -> Report:
    """Fills a history, starts the API over it, and asks."""
    with ExitStack() as held:
        stage.say(f"filling {options.rows:,} events")
        site = held.enter_context(open_site("bench_api", stage.addresses, TopicSettings()))
        runs = add_shapes(fill(site.clickhouse, options.rows, stage.say))
        held.enter_context(site.held)
        found = rounds(stand_of(site, runs), options, stage.say)
    return ApiReport("api", stage.host, stage.versions, command(options), samples(found), ratios(found))


def stand_of(site: Site, runs: Runs) -> Stand:
    """The API as a process of its own, with an operator's key. Raises Retryable where it does not answer."""
    (port,) = free_ports(1)
    shown = made(secrets.token_bytes)
    described = Key(
        shown.key_id, hash_of(shown.secret), "bench", ALL_ACCOUNTS, frozenset({Scope.READ}), datetime.now(UTC)
    )
    key_store.keep(site.clickhouse, shown, described)
    child = site.start("api", "--no-kafka", "--port", str(port))
    api = Target("127.0.0.1", port, {"Authorization": f"Bearer {text_of(shown)}"})

    def answers() -> bool:
        require_alive(child)
        try:
            return bool(ask(api, ["/healthz"], 1))
        except OSError:
            return False

    if not wait_until(answers, 60.0):
        raise Retryable(f"the API does not answer:\n{child.tail()}")
    return Stand(api, clickhouse_target(site.addresses.clickhouse_url.get_secret_value()), runs)


def rounds(stand: Stand, options: argparse.Namespace, say: Callable[[str], None]) -> Found:
    """The paths in small turns, so that what else the machine does meets all of them. Which runs is by seed."""
    random, found = Random(7), Found()
    names = (*_FLOORS, *NAMES)
    for name in names:
        stand.ask(name, _TURN, max(CLIENTS), random)
    for number in range(options.rounds):
        say(f"round {number + 1} of {options.rounds}")
        taken: Found = defaultdict(list)
        for first in range(0, options.each, _TURN):
            for clients in CLIENTS:
                for name in names:
                    count = min(_TURN, options.each - first)
                    taken[f"{name}_{clients}"] += stand.ask(name, count, clients, random)
        for name, values in taken.items():
            for at in (50, 99):
                found.setdefault(f"{name}_p{at}", []).append(percentile(values, at))
    return found


def samples(found: Found) -> dict[str, Sample]:
    """What was measured: name, callers, percentile."""
    return {name: Sample("ms", tuple(values)) for name, values in found.items()}


def ratios(found: Found) -> dict[str, tuple[float, ...]]:
    """Of a run to the floor of the same round: what the API takes besides being asked at all."""
    return {
        f"{name}_{clients}_p50_vs_healthz": pair_ratios(found[f"{name}_{clients}_p50"], found[f"healthz_{clients}_p50"])
        for name in NAMES
        for clients in CLIENTS
    }


if __name__ == "__main__":
    sys.exit(main())
