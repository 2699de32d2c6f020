"""A database with a small price book, events of several users rolled up, and settings of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import Result
from tests.conservation.conftest import clickhouse_settings, prepared
from tests.conservation.storage import Prepared, Storage, stored
from typer.testing import CliRunner

from taximeter_infra.cli.app import app
from taximeter_schemas.settings import ClickHouseSettings

SPEAKING = {
    "tags": {"key_id": "k1", "mail": "adele@example.org"},
    "error_message": "adele has no access",
    "description": "for adele",
    "provider_metadata": {"end_user": "adele"},
    "thread_id": "adele-and-the-helper",
    "response_id": "resp_1",
    "breach_reason": "asked by adele",
}
NOW = datetime(2026, 11, 2, 10, tzinfo=UTC)
__all__ = ["clickhouse_settings", "prepared"]  # fixtures of the conservation tests
Taximeter = Callable[..., Result]


def fill(storage: Storage) -> None:
    """Two users in the same minutes and runs, in two accounts, two models, a transaction, copies, plugins without a
    price; quotas of the one user. Rolled up."""
    event = storage.event
    acme = [
        event(
            user_id=user,
            run_id=f"r{number % 3}",
            node_id=f"n{number % 2}",
            occurred_at=NOW + timedelta(minutes=number // 4),
        )
        | (SPEAKING if user == "adele" else {})
        for number, user in enumerate(["adele", "bob", "adele", "eve"] * 5)
    ]
    acme[3] |= {"model": "gpt-4o-unknown", "transaction_id": "t1"}
    acme[4] |= {"transaction_id": "t1", "custom_units": {"pages": 3}, "plugin_id": "p", "plugin_invocations": 1}
    acme[5] |= {"context": "system"}
    other = [event(account_id="other", user_id="adele", run_id="o1") | SPEAKING]
    # The second copy came later and does not count.
    copies = [dict(acme[0]) | {"run_id": "r9"}, dict(acme[1]) | {"user_id": "adele"}]
    storage.store([*acme, *other])
    storage.store(copies)
    clickhouse = storage.clickhouse
    for level, name in (("user", "adele"), ("user", "bob"), ("project", "adele")):
        clickhouse.insert(
            "stored_quota_assignments",
            ["level", "account_id", "name", "valid_from", "plan_id"],
            [(level, "acme", name, NOW, "x")],
        )
        clickhouse.insert(
            "stored_quota_add_ons",
            ["add_on_id", "level", "account_id", "name", "reason"],
            [(f"{level}-{len(name)}-{name[0]}", level, "acme", name, "for adele")],
        )
        clickhouse.insert(
            "stored_quota_state",
            ["level", "kind", "account_id", "name", "window", "starts_at", "as_of"],
            [(f"{level}/acme/{name}", level, "acme", name, "month", NOW, datetime.now(UTC))],
        )
    storage.roll_up()


@pytest.fixture
def storage(clickhouse_settings: ClickHouseSettings, prepared: Prepared) -> Iterator[Storage]:
    """It, filled and rolled up."""
    with stored(clickhouse_settings, prepared) as storage:
        storage.fill(fill)
        yield storage


@pytest.fixture
def at_database(clickhouse_settings: ClickHouseSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands find the database in the environment."""
    monkeypatch.setenv("CLICKHOUSE_URL", clickhouse_settings.url.get_secret_value())
    monkeypatch.setenv("CLICKHOUSE_DATABASE", clickhouse_settings.database)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def taximeter(at_database: None) -> Taximeter:
    """A command of the product on that database."""
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])
