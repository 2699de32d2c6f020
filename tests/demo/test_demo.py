"""The demo as a newcomer runs it: real servers, an instrumented executor, and checks that hold."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.stack.processes import all_gone, descendants

from taximeter_infra.demo.checks import Check, Seen, judge
from taximeter_infra.demo.staying import least_plan
from taximeter_infra.stack.waiting import wait_until

pytestmark = pytest.mark.integration


def _demo(data_dir: Path, *options: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "taximeter_infra", "demo", "--data-dir", str(data_dir), *options]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.long
def test_the_demo_holds_its_word(data_dir: Path) -> None:
    """Every event emitted is stored, every check holds, the JSON says so, and nothing is left running."""
    process = _demo(data_dir, "--runs", "24", "--seed", "5", "--json")
    assert wait_until(lambda: (data_dir / "demo" / "executor.log").exists(), 60)
    family = descendants(process.pid)
    out, err = process.communicate()
    assert process.returncode == 0, err.decode()
    report = json.loads(out)
    assert report["emitted"] == report["stored"] > 24
    assert report["runs"] == 24
    assert all(check["holds"] for check in report["checks"])
    assert Decimal(report["cost_usd"]) == sum(Decimal(row["cost_usd"]) for row in report["by_model"]) > 0
    assert report["unpriced_calls"] > 0
    assert report["rollup_lag_seconds"] >= 0
    assert report["clickhouse"]["product"] == "ClickHouse"
    assert set(report["kafka"]) == {"product", "version"}
    assert len(family) > 6
    assert all_gone(family)


def test_a_kept_demo_serves_the_dashboard_until_it_is_interrupted(data_dir: Path) -> None:
    """When its checks hold, it prints an address that is signed in; behind it are limits and weeks of use; Ctrl-C ends
    all of it cleanly."""
    process = _demo(data_dir, "--runs", "12", "--keep")
    assert process.stdout is not None
    lines = iter(process.stdout.readline, b"")
    line = next(line.decode() for line in lines if b"/dashboard#key=" in line)
    page, key = line.split()[-1].split("#key=")
    family = descendants(process.pid)

    def ask(path: str) -> Any:
        request = urllib.request.Request(page.replace("/dashboard", path), headers={"Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    accounts = [row["accountId"] for row in ask("/api/metering/summary?groupBy=account")["rows"]]
    assert {"acme", "acct-001"} <= set(accounts)
    assert all(ask(f"/api/account/usage?accountId={name}")["limit"] for name in accounts)
    assert len(ask("/api/metering/summary?granularity=day")["rows"]) > 14
    with urllib.request.urlopen(page, timeout=60) as answer:
        assert b"<title>Taximeter</title>" in answer.read()
    assert key not in "".join(path.read_text(errors="replace") for path in (data_dir / "demo").glob("*.log"))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 0, err.decode()
    assert all_gone(family)


def test_the_least_plan_with_room_is_given() -> None:
    """The largest where none has room."""
    assert [least_plan(used) for used in (0, 49_999, 50_000, 3_000_000, 10**9)] == [
        "hobby",
        "hobby",
        "starter",
        "business",
        "enterprise",
    ]


def test_a_killed_demo_leaves_nothing_running(data_dir: Path) -> None:
    """Kill -9 of the demo in the middle of its work: servers, services and the executor end by themselves."""
    process = _demo(data_dir, "--runs", "500")
    try:
        # Two servers and two services, each below its warden or beside it, and the executor.
        assert wait_until(lambda: len(descendants(process.pid)) > 6, 90)
        family = descendants(process.pid)
    finally:
        process.kill()
        process.communicate()
    assert all_gone(family)


def _seen(**changes: Any) -> Seen:
    row = {"successes": 2, "errors": 0, "timeouts": 0, "cancellations": 0, "executions": 2}
    reports = {"runs": [{}], "node_types": [{"node_type": "ai", "executions": 2}], "models": []}
    told: dict[str, Any] = {
        "stored": 2,
        "dead_letters": 0,
        "totals": row,
        "reports": reports,
        "sums": {"a": Decimal(1)},
    }
    return Seen(**{**told, **changes})


def test_a_check_that_fails_is_seen() -> None:
    """A lost event, a dead letter and two sums that differ in the last digit each fail their check."""
    attempts = {"total": 2, "by_outcome": {"success": 2}, "by_node_type": {"ai": 2}}
    summary = {
        "tally": {"events": 2, "runs": {"total": 1}, "attempts": attempts, "models": {}},
        "events_emitted": {"accepted": 2, "acknowledged": 2, "dropped": 0, "hook_errors": 0},
    }
    assert all(check.holds for check in judge(summary, _seen()))

    def failing(**changes: Any) -> list[Check]:
        return [check for check in judge(summary, _seen(**changes)) if not check.holds]

    assert len(failing(stored=1)) == 1
    assert len(failing(dead_letters=1)) == 1
    assert len(failing(sums={"a": Decimal("0.10"), "b": Decimal("0.11")})) == 1
