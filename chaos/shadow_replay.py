"""`python -m chaos.shadow_replay --events 5000000`: a topic replayed into a shadow and swapped in while traffic flows.

A sink, an aggregator and a producer run on all the while, and a reader sums up the rollups again and again. The replay
is killed (kill -9) at random and at named places and given again; so is the swap, at each of its steps. What must hold
at the end: no difference, no event lost or doubled, no total that a reader saw go down, every audit closed.

Exit 0: all held; 3: something did not. All that it starts ends with it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from chaos import report, shadow_traffic
from chaos.process import KILLED, PATIENCE_SECONDS, Process
from taximeter_consumers.clickhouse import connect
from taximeter_consumers.failpoints import SWAP
from taximeter_infra.stack.local_stack import LocalStack
from taximeter_infra.stack.plan import StackAddresses, StackPlan
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.errors import TaximeterError
from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings

NAME = "proof"
_DATABASE, _TOPIC = "shadow_proof", "shadow_proof.events"
_LIVE_SEED = 900_001
BUILD_DEATHS = ("replay.before_ledger", "aggregate.after_recompute@2")
_TOTALS = "SELECT toInt64(sum(events)), sum(input_tokens + output_tokens), toString(sum(cost_usd)) FROM run_costs"
_STORED = "SELECT toInt64(count()) FROM events"
_WAITING = """
SELECT count() FROM stored_ingest_batches WHERE batch_id NOT IN (SELECT batch_id FROM stored_rolled_up_batches)
"""


@dataclass
class Findings:
    """What was seen: timings in seconds, and what did not hold."""

    events: int = 0
    live_events: int = 0
    reads: int = 0
    kills: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def expect(self, holds: bool, otherwise: str) -> None:
        """Notes a problem where something does not hold."""
        if not holds:
            self.problems.append(otherwise)

    def timed(self, what: str, work: Callable[[], Any]) -> Any:
        """Does the work and notes how long it took."""
        began = time.monotonic()
        try:
            return work()
        finally:
            self.seconds[what] = round(self.seconds.get(what, 0.0) + time.monotonic() - began, 1)


class Reader(threading.Thread):
    """Sums up the rollups without end; what it sees must never go down while events only come."""

    def __init__(self, settings: ClickHouseSettings, findings: Findings) -> None:
        super().__init__(name="reader", daemon=True)
        self._settings = settings
        self._findings = findings
        self.ended = threading.Event()

    def run(self) -> None:
        """Reads until `ended` is set."""
        highest = {"rollups": 0, "events": 0}
        with closing(connect(self._settings)) as clickhouse:
            while not self.ended.wait(0.1):
                for what, sql in (("rollups", _TOTALS), ("events", _STORED)):
                    try:
                        seen = int(clickhouse.scalar(sql))
                    except TaximeterError as error:
                        self._findings.problems.append(f"a reader was refused: {error}")
                        continue
                    self._findings.reads += 1
                    if seen < highest[what]:
                        self._findings.problems.append(f"a reader saw {what} fall from {highest[what]} to {seen}")
                    highest[what] = max(highest[what], seen)


class Proof:
    """One run on servers of its own."""

    def __init__(self, addresses: StackAddresses, folder: Path, options: argparse.Namespace) -> None:
        self.topic = _TOPIC
        self.kafka = KafkaSettings(bootstrap_servers=addresses.bootstrap_servers, security_protocol="plaintext")
        self.clickhouse = ClickHouseSettings(url=addresses.clickhouse_url, database=_DATABASE)
        self.findings = Findings()
        self._folder = folder
        self._options = options
        self._environment = {
            "KAFKA_BOOTSTRAP_SERVERS": addresses.bootstrap_servers,
            "CLICKHOUSE_URL": addresses.clickhouse_url.get_secret_value(),
            "CLICKHOUSE_DATABASE": _DATABASE,
            "TAXIMETER_TOPIC_EVENTS": _TOPIC,
            "TAXIMETER_TOPIC_DEAD_LETTERS": f"{_TOPIC}.dlq",
            "TAXIMETER_TOPIC_PARTITIONS": "8",
            "TAXIMETER_SINK_GROUP_ID": _DATABASE,
            "TAXIMETER_DATA_DIR": str(folder / "data"),
        }
        self._started = 0

    def run(self) -> Findings:
        """All of it. Raises what could not be tried."""
        found, options = self.findings, self._options
        self._must("migrate")
        self._must("topics", "create")
        sent = found.timed("produce", lambda: shadow_traffic.send_all(self.kafka, _TOPIC, 1, options.events))
        found.events = sent.events
        found.timed("sink", lambda: self._must("sink", "--until-caught-up"))
        found.timed("aggregate", lambda: self._must("aggregate"))
        running = [self._start("sink", "sink"), self._start("aggregate", "aggregate", "--follow", "--interval", "0.2")]
        live = self._start("traffic", *self._traffic(), module="chaos.shadow_traffic")
        reader = Reader(self.clickhouse, found)
        reader.start()
        try:
            self._build()
            self._swap("--swap")
            self._swap("--undo")
            found.timed("last swap", lambda: self._must("replay", "--shadow", NAME, "--swap"))
            live.stop()
            events, tokens = map(int, live.log().split()[-2:])
            found.live_events = events
            self._settle(sent.events + events)
        finally:
            reader.ended.set()
            reader.join(30)
            for process in (live, *running):
                found.expect(not process.failed, f"{process.name} has failed:\n{process.log()[-2_000:]}")
                process.stop()
        self._check(sent.events + events, sent.tokens + tokens)
        return found

    def _traffic(self) -> tuple[str, ...]:
        return ("--topic", _TOPIC, "--seed", str(_LIVE_SEED), "--rate", str(self._options.rate))

    def _build(self) -> None:
        """Killed at named places, then at a random moment, then to its end."""
        command = ("replay", "--shadow", NAME, "--diff")
        for place in BUILD_DEATHS:
            self._die_at(place, *command)
        process = self._start("killed", *command)
        longest = 2.0 + self._options.events / 200_000
        wait_until(lambda: not process.running, Random(self._options.seed).uniform(2.0, longest))
        if process.running:
            process.kill()
            self.findings.kills += 1
        self.findings.timed("build and diff", lambda: self._must(*command))

    def _swap(self, direction: str) -> None:
        """Killed at every step in turn; each time the next call ends what was begun."""
        for place in SWAP:
            self._die_at(place, "replay", "--shadow", NAME, direction)
            other = "--undo" if direction == "--swap" else "--swap"
            self.findings.timed("swaps", lambda: self._must("replay", "--shadow", NAME, direction))
            if place != SWAP[-1]:
                self.findings.timed("swaps", partial(self._must, "replay", "--shadow", NAME, other))

    def _settle(self, events: int) -> None:
        """Waits until everything that was sent is stored and rolled up."""
        with closing(connect(self.clickhouse)) as clickhouse:

            def all_there() -> bool:
                return int(clickhouse.scalar(_TOTALS)) == events and not int(clickhouse.scalar(_WAITING))

            wait_until(all_there, PATIENCE_SECONDS)

    def _check(self, events: int, tokens: int) -> None:
        self._require_totals(events, tokens)
        self._must("replay", "--shadow", NAME, "--diff")
        self.findings.timed("audits", lambda: (self._must("audit", "--ingest"), self._must("audit")))

    def _require_totals(self, events: int, tokens: int) -> None:
        with closing(connect(self.clickhouse)) as clickhouse:
            totals = clickhouse.rows(_TOTALS)[0]
            stored = int(clickhouse.scalar(_STORED))
        found = self.findings
        found.expect(totals[:2] == (events, tokens), f"rollups have {totals[:2]}, sent were {(events, tokens)}")
        found.expect(stored == events, f"{stored} events are stored, {events} were sent")

    def _die_at(self, place: str, *argv: str) -> None:
        process = self._start("dying", *argv, environment={"TAXIMETER_FAILPOINT": place})
        process.may_die = process.may_fail = True
        wait_until(lambda: not process.running, _patience(self._options.events))
        self.findings.kills += process.child.exit_code == KILLED
        self.findings.expect(
            process.child.exit_code == KILLED,
            f"{' '.join(argv)} did not come to {place}: exit {process.child.exit_code}\n{process.log()[-2_000:]}",
        )

    def _must(self, *argv: str, environment: dict[str, str] | None = None) -> str:
        process = self._start("command", *argv, environment=environment)
        wait_until(lambda: not process.running, _patience(self._options.events))
        code = process.child.exit_code
        self.findings.expect(code == 0, f"taximeter {' '.join(argv)} ended with {code}:\n{process.log()[-3_000:]}")
        if process.running:
            process.stop()
        return process.log()

    def _start(
        self, name: str, *argv: str, module: str = "taximeter_infra", environment: dict[str, str] | None = None
    ) -> Process:
        self._started += 1
        log = self._folder / "logs" / f"{self._started:03}-{name}.log"
        command = (sys.executable, "-m", module, *argv)
        return Process.start(name, command, log, self._environment | (environment or {}), forked=False)


def _patience(events: int) -> float:
    return PATIENCE_SECONDS * 2 + events / 2_000


def carry_out(proof: type[Proof], name: str, options: argparse.Namespace) -> int:
    """Runs a proof on servers of its own and says what it found; the exit code. Data of one that fails stay."""
    folder = report.OUT / f".{name}-{os.getpid()}"
    with LocalStack(StackPlan.on_free_ports(folder / "servers")) as stack:
        found = proof(stack.addresses, folder, options).run()
    print(json.dumps({**vars(found), "holds": not found.problems}, indent=2))
    if not (found.problems or options.keep):
        shutil.rmtree(folder, ignore_errors=True)
    return 3 if found.problems else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the proof and says what it found."""
    parser = argparse.ArgumentParser(prog="python -m chaos.shadow_replay", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--events", type=int, default=200_000, help="in the topic before it begins [default: 200000]")
    parser.add_argument("--rate", type=float, default=300.0, help="events a second meanwhile [default: 300]")
    parser.add_argument("--seed", type=int, default=1, help="of the random kills [default: 1]")
    parser.add_argument("--keep", action="store_true", help="keep servers' data and logs")
    options = parser.parse_args(argv)
    return carry_out(Proof, "shadow", options)


if __name__ == "__main__":
    sys.exit(main())
