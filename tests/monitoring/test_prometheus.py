"""The Prometheus rules: they are valid, fire on what they are for, and everything that they name is there."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.monitoring.grafana import INFRA

from taximeter_consumers.api.metrics import Metrics
from taximeter_consumers.api.reads.known_calls import STATES, known_calls
from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.quota.service.metrics import QuotaMetrics
from taximeter_consumers.rollups.metrics import RollupMetrics
from taximeter_consumers.sink.metrics import SinkMetrics
from taximeter_infra.served import Served
from taximeter_infra.signals import StopSign

RULES = INFRA / "prometheus" / "taximeter.rules.yml"
CASES = Path(__file__).with_name("rules.test.yml")
PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed; Debian's package prometheus has it"
)


def promtool(folder: Path, *words: str) -> None:
    """Runs it over the files of infra and the cases, side by side in a folder."""
    for path in (*(INFRA / "prometheus").iterdir(), CASES):
        shutil.copy(path, folder)
    done = subprocess.run(["promtool", *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_configuration_and_rules_are_valid(tmp_path: Path) -> None:
    """As Prometheus reads them."""
    promtool(tmp_path, "check", "config", "prometheus.yml")


@needs_promtool
def test_alerts_fire_on_what_they_are_for(tmp_path: Path) -> None:
    """And are silent where all is well, and where nothing can be seen."""
    promtool(tmp_path, "test", "rules", CASES.name)


def test_every_metric_of_the_rules_is_served() -> None:
    """The names, as /metrics spells them."""
    metrics = Metrics()
    metrics.saw_calls(None)
    text = metrics.text().decode() + "".join(
        Served("sink", StopSign(), kind.registry).text().decode()
        for kind in (SinkMetrics(), QuotaMetrics(), RollupMetrics())
    )
    served = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    named = set(re.findall(r"\b(taximeter_\w+)", RULES.read_text(encoding="utf-8")))
    assert {re.sub(r"_bucket$", "", name) for name in named} <= served


def test_every_alert_is_explained() -> None:
    """The runbook has a heading for each and for no other one, and each names its heading."""
    rules = RULES.read_text(encoding="utf-8")
    alerts = re.findall(r"alert: (\w+)", rules)
    headings = re.findall(r"^### (Taximeter\w+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(alerts) == sorted(headings)
    assert re.findall(r"operations\.md#(\w+)", rules) == [name.lower() for name in alerts]


@pytest.mark.integration
def test_calls_are_counted_by_how_their_cost_is_known(filled: ClickHouse) -> None:
    """Each call in one state, as in the rollups."""
    calls = known_calls(filled, hours=24 * 365 * 50)
    assert sum(calls[state] for state in STATES) == filled.scalar("SELECT sum(ai_calls) FROM run_costs")
    assert calls["unpriced"] > 0
    metrics = Metrics()
    metrics.saw_calls(calls)
    assert f'taximeter_ai_calls_last_day{{state="unpriced"}} {calls["unpriced"]}.0' in metrics.text().decode()
