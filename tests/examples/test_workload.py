"""The demo's workload: repeatable, troubled, metered to the last token, and leaving nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from examples.dag_executor.metering import Metering
from examples.dag_executor.tally import Tally
from examples.dag_executor.workload import SCENARIOS, plan, work
from examples.dag_executor.world import World

from taximeter.testing import memory_meter
from taximeter_schemas.event import MeterEvent

pytestmark = pytest.mark.filterwarnings("ignore:The model 'claude:DeprecationWarning")

ROOT = Path(__file__).parents[2]
RUNS = len(SCENARIOS)


@pytest.fixture(scope="module")
def metered() -> tuple[dict[str, Any], list[MeterEvent], dict[str, Any]]:
    """One round of all scenarios: the tally, the events, and the provider's bill."""
    tally = Tally()
    before = threading.active_count()
    with memory_meter() as recorded:
        with World(seed=1) as world:
            work(plan(1, RUNS), world, [tally, Metering(recorded.meter)], seed=1)
        events = recorded.events
        assert recorded.meter.counters().hook_errors == 0
    assert threading.active_count() == before
    return tally.summary(), events, {model: dict(line) for model, line in world.provider.served.items()}


Metered = tuple[dict[str, Any], list[MeterEvent], dict[str, Any]]


def test_every_kind_of_trouble_is_there(metered: Metered) -> None:
    """Twelve runs hold successes, failures, a cancellation, timeouts, a memory breach, and usage that is missing."""
    tally = metered[0]
    assert tally["runs"] == {"total": 12, "by_outcome": {"cancelled": 1, "error": 3, "success": 8}}
    assert tally["breaches"] == {"timeout": 2, "memory": 1}
    assert tally["attempts"]["by_outcome"]["cancelled"] == 1
    assert tally["models"]["openai/gpt-4o-mini"]["missing"] == 1
    assert tally["models"]["house/house-llm-1"]["calls"] == 2
    assert tally["http"]["errors"] > 3


def test_a_seed_repeats(metered: Metered) -> None:
    """A second round of the same seed is tallied alike; only what real processes measure differs."""
    tally = Tally()
    with World(seed=1) as world:
        work(plan(1, RUNS), world, [tally], seed=1)
    # What all tests share is not changed here.
    first, second = dict(metered[0]), tally.summary()
    assert first.pop("code")["processes"] == second.pop("code")["processes"]
    assert first == second
    assert plan(1, 60) == plan(1, 60) != plan(2, 60)


def test_events_equal_the_tally(metered: Metered) -> None:
    """The meter and the independent tally agree on attempts, outcomes, tokens, requests and plugin units."""
    tally, events, _ = metered
    assert len(events) == tally["events"]
    assert sum(event.executions for event in events) == tally["attempts"]["total"]
    attempts = [event for event in events if event.executions]
    assert Counter(event.outcome.value for event in attempts) == tally["attempts"]["by_outcome"]
    assert Counter(event.node_type for event in attempts) == tally["attempts"]["by_node_type"]
    assert sum(event.memory_breaches for event in events) == tally["breaches"]["memory"]
    assert sum(event.timeout_breaches for event in events) == tally["breaches"]["timeout"]
    models: dict[str, Counter[str]] = {}
    for event in events:
        if event.ai:
            counted = models.setdefault(f"{event.ai.provider}/{event.ai.model}", Counter())
            for name in ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"):
                counted[name] += getattr(event.ai, name)
            counted["reasoning_tokens"] += event.ai.reasoning_tokens
            counted["missing"] += event.ai.quality.value == "missing"
    wanted = {name: Counter(counts) - Counter(calls=counts["calls"]) for name, counts in tally["models"].items()}
    assert {name: +counts for name, counts in models.items()} == wanted
    for name, amount in tally["http"].items():
        assert sum(getattr(event.http, name) for event in events if event.http) == amount
    for plugin_id, units in tally["plugins"].items():
        used = [event.plugin for event in events if event.plugin and event.plugin.plugin_id == plugin_id]
        assert str(sum(plugin.invocations for plugin in used)) == units["invocations"]
        for unit in set(units) - {"invocations"}:
            assert sum(plugin.custom_units[unit] for plugin in used) == Decimal(units[unit])


def test_events_are_attributed(metered: Metered) -> None:
    """Each event bears the account, user, project, workflow and tags of its run."""
    requests = {each.request.run_id: each.request for each in plan(1, RUNS)}
    for event in metered[1]:
        run = requests[event.run_id]
        assert (event.account_id, event.user_id, event.project_id) == (run.account_id, run.user_id, run.project_id)
        assert (event.workflow_id, event.tags) == (run.workflow.id, run.tags)
        assert event.node_id in {node.id for node in run.workflow.nodes}


def test_the_bill_of_the_provider_is_met(metered: Metered) -> None:
    """Tokens that the provider served are the tokens metered, for every model whose usage was always stated."""
    tally, _, served = metered
    for name, counts in tally["models"].items():
        line = served[name.split("/")[1]]
        assert line["calls"] == counts["calls"]
        if not counts.get("missing"):
            assert (line["input_tokens"], line["output_tokens"]) == (
                counts["input_tokens"],
                counts.get("output_tokens", 0),
            )


def command(*more: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "examples.dag_executor", *more]
    return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ})


def test_command_prints_json_lines() -> None:
    """The command prints a line for each run and a summary at the end, and exits with 0."""
    process = command("--seed", "4", "--runs", "3", "--run-prefix", "try")
    lines = [json.loads(line) for line in process.communicate()[0].splitlines()]
    assert process.returncode == 0
    assert sorted(line["run_id"] for line in lines[:-1]) == ["try-4-0000", "try-4-0001", "try-4-0002"]
    assert (lines[-1]["event"], lines[-1]["runs"], lines[-1]["events_emitted"]) == ("summary", 3, None)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_ends_when_told(number: signal.Signals) -> None:
    """A signal in the middle cancels the runs; the command says so and leaves with 130."""
    process = command("--runs", "500")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(number)
    rest = process.communicate()[0]
    assert process.returncode == 130
    assert json.loads(rest.splitlines()[-1]) == {"event": "interrupted"}
