"""`schema check`, `register` and `evolve` against a real broker, a real ClickHouse and a registry over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.cli.conftest import Taximeter
from tests.conftest import TopicNames
from tests.schemas.registry_server import RegistryState, registry_server

from taximeter_consumers.clickhouse import connect
from taximeter_schemas import avro_files
from taximeter_schemas.registry import SUBJECT
from taximeter_schemas.settings import ClickHouseSettings

CURRENT = avro_files.CURRENT_VERSION


@pytest.fixture
def registry(alone: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[RegistryState]:
    """A registry that the environment names."""
    with registry_server() as state:
        monkeypatch.setenv("SCHEMA_REGISTRY_URL", state.url)
        yield state


@pytest.fixture
def on_tables(
    alone: None, monkeypatch: pytest.MonkeyPatch, migrated_database: ClickHouseSettings
) -> ClickHouseSettings:
    """The environment names a migrated database."""
    monkeypatch.setenv("CLICKHOUSE_URL", migrated_database.url.get_secret_value())
    monkeypatch.setenv("CLICKHOUSE_DATABASE", migrated_database.database)
    return migrated_database


def test_registering_asks_first_and_says_the_id(taximeter: Taximeter, registry: RegistryState) -> None:
    """Again it is the same id; compatibility is asked of every version that is there."""
    registry.register(avro_files.text_of(1))
    first = taximeter("schema", "register")
    assert (first.exit_code, first.stdout) == (0, f"packaged version {CURRENT} has id 102 under {SUBJECT}\n")
    asked = registry.asked.index(f"POST /compatibility/subjects/{SUBJECT}/versions/1")
    assert asked < registry.asked.index(f"POST /subjects/{SUBJECT}/versions")
    again = json.loads(taximeter("schema", "register", "--json").stdout)
    assert again == {"subject": SUBJECT, "version": CURRENT, "schema_id": 102}


def test_a_registry_that_says_no_is_obeyed(taximeter: Taximeter, registry: RegistryState) -> None:
    """Nothing is registered, and the message says which version is in the way; nor where there is no registry."""
    registry.register(avro_files.text_of(1))
    registry.incompatible.add(1)
    result = taximeter("schema", "register")
    assert (result.exit_code, len(registry.schemas)) == (1, 1)
    assert "incompatible with its versions 1" in result.stderr
    assert "mend:" in result.stderr


def test_without_a_registry_there_is_nothing_to_register(taximeter: Taximeter) -> None:
    """The variable is named."""
    result = taximeter("schema", "register")
    assert result.exit_code == 1
    assert "SCHEMA_REGISTRY_URL" in result.stderr


@pytest.mark.parametrize(("status", "word"), [(401, "SCHEMA_REGISTRY_BASIC_AUTH"), (500, "50001")])
def test_a_failing_registry_is_told(taximeter: Taximeter, registry: RegistryState, status: int, word: str) -> None:
    """A refused user gets the variable named, an outage the registry's own code."""
    registry.fails_with = status
    for command in ("register", "evolve", "check"):
        result = taximeter("schema", command)
        assert result.exit_code == 1
        assert word in result.stderr


@pytest.mark.integration
def test_check_holds_on_a_migrated_database_and_says_what_is_missing(
    taximeter: Taximeter, registry: RegistryState, on_tables: ClickHouseSettings
) -> None:
    """All fits: 0. A column that goes, or a lenient registry: 1, with the mend."""
    taximeter("schema", "register")
    assert json.loads(taximeter("schema", "check", "--json").stdout)["fits"] is True
    registry.mode = "NONE"
    with closing(connect(on_tables)) as clickhouse:
        clickhouse.execute("ALTER TABLE trial_events DROP COLUMN ai_units")
    result = taximeter("schema", "check")
    assert result.exit_code == 1
    assert f"{on_tables.database}.trial_events has no column for ai.units" in result.stderr
    assert "mend: `taximeter migrate`" in result.stderr
    assert "FULL_TRANSITIVE" in result.stderr
    assert f"{on_tables.database}.stored_events: a column for each" in result.stdout


@pytest.mark.integration
def test_check_without_tables_says_migrate(taximeter: Taximeter, on_clickhouse: ClickHouseSettings) -> None:
    """A database that does not exist yet."""
    result = taximeter("schema", "check")
    assert result.exit_code == 1
    assert "taximeter migrate" in result.stderr


@pytest.mark.integration
def test_evolve_goes_from_columns_to_producers(
    taximeter: Taximeter, registry: RegistryState, on_kafka: TopicNames, on_tables: ClickHouseSettings, tmp_path: Path
) -> None:
    """What runs is done. A next version waits for its column; records of it that come before are too early."""
    taximeter("topics", "create")
    taximeter("simulate", "--events", 40)
    taximeter("sink", "--until-caught-up")
    now = json.loads(taximeter("schema", "evolve", "--json").stdout)
    assert (now["safe"], [step["state"] for step in now["steps"]]) == (True, ["done", "look", "done"])
    schema = json.loads(avro_files.text_of(CURRENT))
    schema["fields"].append({"name": "region", "type": "string", "default": ""})
    file = tmp_path / "next.avsc"
    file.write_text(json.dumps(schema), encoding="utf-8")
    planned = taximeter("schema", "evolve", file, "--records", 10)
    assert planned.exit_code == 0
    assert "safe: region is new" in planned.stdout
    assert "1. columns: `taximeter migrate`: to do\n   no column yet for region" in planned.stdout
    assert "40" not in planned.stdout
    # As if the producers had been first: what they send is of a version with the new field.
    registry.schemas[101], registry.schemas[102] = json.dumps(schema), registry.schemas[101]
    early = taximeter("schema", "evolve", file)
    assert early.exit_code == 1
    assert "TOO EARLY: of the last 40 records" in early.stderr


def test_evolve_refuses_what_is_unsafe(taximeter: Taximeter, closed_clickhouse: None, tmp_path: Path) -> None:
    """A sentence for each change, no steps, and no server is needed for it."""
    schema = json.loads(avro_files.text_of(CURRENT))
    schema["fields"].pop()
    schema["fields"].append({"name": "region", "type": "string"})
    file = tmp_path / "next.avsc"
    file.write_text(json.dumps(schema), encoding="utf-8")
    result = taximeter("schema", "evolve", file)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "refused: description is gone" in result.stderr
    assert "refused: region is new and has no default" in result.stderr
    assert taximeter("schema", "evolve", tmp_path / "absent.avsc").exit_code == 1


@pytest.mark.integration
def test_evolve_tells_nobody_to_go_on_blindly(
    taximeter: Taximeter, on_kafka: TopicNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ClickHouse away the columns may be missing: exit code 1, and the producers wait."""
    taximeter("topics", "create")
    monkeypatch.setenv("CLICKHOUSE_URL", "http://127.0.0.1:1")
    blind = taximeter("schema", "evolve")
    assert blind.exit_code == 1
    assert "1. columns: `taximeter migrate`: unseen" in blind.stderr
    assert "mend: the steps above cannot be seen" in blind.stdout
    assert "upgrade the producers" not in blind.stdout


@pytest.fixture
def closed_clickhouse(alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens, neither for ClickHouse nor for Kafka."""
    monkeypatch.setenv("CLICKHOUSE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
