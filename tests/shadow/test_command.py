"""`taximeter replay` as its users call it: targets, shadows, exit codes, and options that exclude each other."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from tests.shadow.conftest import Live
from typer.testing import CliRunner

from taximeter_infra.cli.app import app

Taximeter = Callable[..., Result]


@pytest.fixture
def taximeter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Taximeter:
    """Runs `taximeter replay` where no server is known."""
    for name in list(os.environ):
        if name.startswith(("KAFKA_", "CLICKHOUSE_", "SCHEMA_REGISTRY_", "TAXIMETER_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TAXIMETER_DATA_DIR", str(tmp_path))
    return lambda *words: CliRunner().invoke(app, ["replay", *map(str, words)])


@pytest.fixture
def on_live(monkeypatch: pytest.MonkeyPatch, live: Live, taximeter: Taximeter) -> Taximeter:
    """The same on the live pipeline."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", live.kafka.bootstrap_servers)
    monkeypatch.setenv("CLICKHOUSE_URL", live.settings.url.get_secret_value())
    monkeypatch.setenv("CLICKHOUSE_DATABASE", live.settings.database)
    monkeypatch.setenv("TAXIMETER_TOPIC_EVENTS", live.topics.events)
    monkeypatch.setenv("TAXIMETER_TOPIC_DEAD_LETTERS", live.topics.dead_letters)
    return taximeter


@pytest.mark.parametrize(
    "words",
    [
        ("--topic", "x", "--from-dlq"),
        ("--to-file", "x.avro", "--shadow", "x"),
        ("--to-clickhouse", "--dry-run"),
        ("--swap",),
        ("--shadow", "x", "--account", "acme"),
        ("--shadow", "x", "--swap", "--undo"),
        ("--shadow", "x", "--book", "5", "--as-of", "1d"),
        ("--occurred-from", "yesterday"),
    ],
)
def test_options_that_make_no_sense_are_refused(taximeter: Taximeter, words: tuple[str, ...]) -> None:
    """Before any server is asked, with exit code 2."""
    assert taximeter(*words).exit_code == 2


def test_help_has_examples(taximeter: Taximeter) -> None:
    """Of sources, targets and shadows."""
    shown = taximeter("--help").stdout
    for words in ("--from-archive archive/metering.events", "--to-topic metering.events.copy", "--shadow check --swap"):
        assert words in " ".join(shown.split())


@pytest.mark.integration
def test_a_shadow_from_the_command_line(on_live: Taximeter, live: Live) -> None:
    """Counted, built, compared, swapped in, swapped back and dropped; code 3 and no swap where totals would change."""
    events = live.totals()[0]
    counted = json.loads(on_live("--shadow", "cli", "--dry-run", "--json").stdout)
    assert counted["messages"] >= events
    built = json.loads(on_live("--shadow", "cli", "--diff", "--json").stdout)
    assert (built["stored"], built["differences"]) == (events, [])
    assert "no difference" in on_live("--shadow", "cli", "--diff").stdout
    live.clickhouse.execute("TRUNCATE TABLE stored_model_costs")
    refused = on_live("--shadow", "cli", "--swap")
    assert (refused.exit_code, "--yes" in refused.stderr) == (3, True)
    swapped = on_live("--shadow", "cli", "--swap", "--yes")
    assert (swapped.exit_code, "--undo swaps back" in swapped.stdout) == (0, True)
    assert live.totals()[0] == events
    assert live.clickhouse.scalar("SELECT count() FROM model_costs") > 0
    undone = on_live("--shadow", "cli", "--undo")
    assert (undone.exit_code, "live again" in undone.stdout) == (0, True)
    assert on_live("--shadow", "cli", "--swap", "--yes", "--json").exit_code == 0
    assert on_live("--shadow", "cli", "--drop").exit_code == 0
    assert "there is no shadow cli" in on_live("--shadow", "cli", "--undo").stderr


@pytest.mark.integration
def test_targets_from_the_command_line(on_live: Taximeter, live: Live, tmp_path: Path) -> None:
    """A file of chosen events, counted as ClickHouse counts them; the live tables, where nothing changes."""
    account, events = live.clickhouse.rows(
        "SELECT account_id, sum(events) FROM run_costs GROUP BY 1 ORDER BY 1 LIMIT 1"
    )[0]
    path = tmp_path / "events.parquet"
    written = json.loads(on_live("--account", account, "--to-file", path, "--skip-bad", "--json").stdout)
    assert (written["written"], path.exists()) == (events, True)
    again = json.loads(on_live("--from-archive", path, "--dry-run", "--json").stdout)
    assert (again["read"], again["written"]) == (events, events)
    totals = live.totals()
    stored = on_live("--to-clickhouse", "--json")
    assert (stored.exit_code, json.loads(stored.stdout)["stored"]) == (3, totals[0])
    assert live.totals() == totals
    assert on_live("--from-dlq", "--skip-bad", "--dry-run").exit_code == 0
