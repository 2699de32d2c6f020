"""The command line as a whole: help, version, exit codes, where servers are found."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from tests.cli.conftest import Taximeter

from taximeter_infra.cli import context
from taximeter_infra.cli.app import app
from taximeter_infra.cli.moments import parse_moment
from taximeter_infra.cli.replay import parse_offsets
from taximeter_infra.stack.plan import StackAddresses
from taximeter_schemas.errors import Misconfigured

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
HEAVY = ("clickhouse_connect", "fastavro", "rich.progress")


def command_paths() -> list[tuple[str, ...]]:
    """Every command and subcommand."""
    root = typer.main.get_command(app)
    paths: list[tuple[str, ...]] = []
    for name, command in root.commands.items():  # type: ignore[attr-defined]  # the root is a group
        inner = getattr(command, "commands", None)
        paths += [(name, sub) for sub in inner] if inner else [(name,)]
    return paths


@pytest.mark.parametrize("path", command_paths(), ids=" ".join)
def test_every_command_shows_examples(taximeter: Taximeter, path: tuple[str, ...]) -> None:
    """`--help` of each command has examples that begin with the command itself."""
    result = taximeter(*path, "--help")
    assert result.exit_code == 0
    assert "Examples:" in result.stdout
    assert f"taximeter {' '.join(path)}" in result.stdout.partition("Examples:")[2]


def test_the_version_is_told(taximeter: Taximeter) -> None:
    """`--version` prints name and number."""
    assert taximeter("--version").stdout.startswith("taximeter ")


def test_wrong_usage_is_2(taximeter: Taximeter) -> None:
    """Unknown commands and options that exclude each other are usage errors."""
    assert taximeter("fly").exit_code == 2
    assert taximeter("simulate", "--rate", 1, "--speed", 1).exit_code == 2
    assert taximeter("replay", "--dry-run", "--to-topic", "x").exit_code == 2
    assert taximeter("replay", "--from-offset", "x:1").exit_code == 2
    assert taximeter("replay", "--since", "yesterday").exit_code == 2
    assert taximeter("sql", "--json", "--csv", "SELECT 1").exit_code == 2


def test_help_imports_nothing_heavy() -> None:
    """Clients and codecs are loaded by the commands that need them, so that help is there at once."""
    script = f"import sys, taximeter_infra.cli.app; print([name for name in {HEAVY!r} if name in sys.modules])"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_moments_are_absolute_or_ago() -> None:
    """ISO 8601 with or without a zone, or a span back from now."""
    assert parse_moment("2026-06-01T14:00:00+02:00", NOW) == NOW
    assert parse_moment("2026-06-01 12:00", NOW) == NOW
    assert parse_moment("90s", NOW) == NOW - timedelta(seconds=90)
    assert parse_moment("1.5h", NOW) == NOW - timedelta(minutes=90)
    assert parse_moment("7d", NOW) == NOW - timedelta(days=7)
    for wrong in ("2x", "tomorrow", "", "99999999999d"):
        with pytest.raises(typer.BadParameter):
            parse_moment(wrong, NOW)


def test_offsets_are_for_all_or_for_one() -> None:
    """A number for every partition, and numbers of their own for some."""
    offsets = parse_offsets(["5", "2:90", "3:0"])
    assert [offsets.of(partition) for partition in range(4)] == [5, 5, 90, 0]
    for wrong in ("", "a", ":5", "1:", "-3", "1:2:3"):
        with pytest.raises(typer.BadParameter):
            parse_offsets([wrong])


def test_the_environment_comes_first(alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without anything the defaults count; what the environment says is taken."""
    assert context.kafka_settings().bootstrap_servers == "127.0.0.1:9092"
    assert context.clickhouse_settings().url.get_secret_value() == "http://127.0.0.1:8123"
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")
    monkeypatch.setenv("CLICKHOUSE_URL", "http://ch:8123")
    assert context.kafka_settings().bootstrap_servers == "kafka:9092"
    assert context.analyst_settings().url.get_secret_value() == "http://ch:8123"


def test_the_running_stack_comes_second(
    alone: None, monkeypatch: pytest.MonkeyPatch, local_stack: StackAddresses
) -> None:
    """With a stack on the data directory its addresses are used, and queries run as its analyst."""
    monkeypatch.setenv("TAXIMETER_DATA_DIR", str(local_stack.data_dir))
    assert context.kafka_settings().bootstrap_servers == local_stack.bootstrap_servers
    assert context.clickhouse_settings().url == local_stack.clickhouse_url
    assert context.analyst_settings().url.get_secret_value() == local_stack.analyst_url


def test_a_wrong_variable_is_named_and_not_shown(alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable; its value may be a secret."""
    monkeypatch.setenv("CLICKHOUSE_DATABASE", "hush hush")
    with pytest.raises(Misconfigured, match="CLICKHOUSE_DATABASE") as refused:
        context.clickhouse_settings()
    assert "hush" not in str(refused.value)
    monkeypatch.setenv("KAFKA_OPTIONS", "{hush")
    with pytest.raises(Misconfigured, match="KAFKA_OPTIONS") as refused:
        context.kafka_settings()
    assert "hush" not in str(refused.value)


def test_errors_are_two_plain_lines(taximeter: Taximeter, tmp_path: Path) -> None:
    """An error of ours is its problem and its mend on standard error, and exit code 1."""
    result = taximeter("simulate", "--trace", tmp_path / "none.csv")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert "mend: " in result.stderr
    assert "Traceback" not in result.output
