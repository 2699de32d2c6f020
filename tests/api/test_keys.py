"""API keys: their form, what they open, how they end."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient
from tests.api.conftest import Filled
from tests.api.new_key import new_key
from tests.api.use import MINE
from typer.testing import CliRunner, Result

from taximeter_consumers.api import key_store
from taximeter_consumers.api.app import create_app
from taximeter_consumers.api.key_cache import KeyCache
from taximeter_consumers.api.keys import Key, Scope, hash_of, made, presented, text_of
from taximeter_consumers.api.services import services_of
from taximeter_consumers.api.settings import ApiSettings
from taximeter_consumers.clickhouse import ClickHouse
from taximeter_infra.cli import keys as commands
from taximeter_schemas.errors import Retryable

NOW = datetime(2026, 11, 20, tzinfo=UTC)
SECRET = "5" * 64


def key(**more: object) -> Key:
    """A key whose secret is SECRET."""
    fields: dict[str, object] = {
        "key_id": "0" * 16,
        "secret_hash": hash_of(SECRET),
        "name": "test",
        "account_id": MINE,
        "scopes": frozenset({Scope.READ}),
        "created_at": NOW,
    }
    return Key(**{**fields, **more})  # type: ignore[arg-type]  # each of its own type


def test_a_key_reads_back_as_it_was_made_and_never_shows_its_secret() -> None:
    """Its text has both parts, its representation only the id."""
    shown = made(secrets.token_bytes)
    assert presented(text_of(shown)) == shown
    assert shown.secret not in repr(shown)
    assert len(shown.secret) == 64


@given(st.text(max_size=120))
def test_any_other_text_is_no_key(text: str) -> None:
    """Whatever it is, without an error."""
    assert presented(text) is None or text.startswith("tm_")
    assert presented(f"tm_{'0' * 16}_{SECRET}\n") is None


def test_a_key_opens_with_its_secret_while_it_holds() -> None:
    """Not with another, not after its end, not once revoked."""
    assert key().opens(SECRET, NOW)
    assert not key().opens("6" * 64, NOW)
    assert not key(expires_at=NOW).opens(SECRET, NOW)
    assert key(expires_at=NOW + timedelta(seconds=1)).opens(SECRET, NOW)
    assert not key(revoked_at=NOW + timedelta(days=1)).opens(SECRET, NOW)


def test_admin_may_do_everything() -> None:
    """Any other scope is itself alone."""
    assert all(key(scopes=frozenset({Scope.ADMIN})).may(scope) for scope in Scope)
    assert [scope for scope in Scope if key().may(scope)] == [Scope.READ]


def test_the_cache_believes_for_seconds_and_outlives_an_outage() -> None:
    """A known key goes on while ClickHouse is away, for minutes; an unknown one cannot be judged."""
    times, asked, away = [0.0], count(), [False]

    def find(key_id: str) -> Key | None:
        next(asked)
        if away[0]:
            raise Retryable("away")
        return key() if key_id == "known" else None

    cache = KeyCache(find, lambda: times[0], seconds=5, outage_seconds=60)
    assert (cache.get("known"), cache.get("known"), cache.get("other")) == (key(), key(), None)
    assert next(asked) == 2
    times[0], away[0] = 30.0, True
    assert cache.get("known") == key()
    with pytest.raises(Retryable):
        cache.get("other")
    times[0] = 61.0
    with pytest.raises(Retryable):
        cache.get("known")


@pytest.mark.integration
def test_a_refused_key_looks_like_every_other(client: TestClient, sql: ClickHouse) -> None:
    """None, a malformed one, an unknown one, a wrong secret, an expired one, a revoked one: the same 401."""
    good = new_key(sql, MINE)
    expired = new_key(sql, MINE, expires_at=datetime(2020, 1, 1, tzinfo=UTC))
    revoked = new_key(sql, MINE)
    key_store.revoke(sql, revoked.split("_")[1], "test")
    wrong = good[:-1] + ("0" if good[-1] != "0" else "1")
    seen = set()
    refused = [f"Bearer {one}" for one in (wrong, expired, revoked, f"tm_{'0' * 16}_{SECRET}", "x")]
    for value in ("", "Bearer", f"Basic {good}", *refused):
        answer = client.get("/v1/usage", headers={"Authorization": value} if value else {})
        assert answer.headers["www-authenticate"].startswith("Bearer")
        seen.add((answer.status_code, answer.json()["type"], answer.json()["detail"]))
    assert len(seen) == 1
    assert client.get("/v1/usage", headers={"Authorization": f"Bearer {good}"}).status_code == 200
    assert client.get("/v1/usage", headers={"X-API-Key": good}).status_code == 200


@pytest.fixture
def forgetful(filled: Filled) -> Iterator[TestClient]:
    """An API that believes a key for hardly any time."""
    with TestClient(create_app(services_of(filled.settings, ApiSettings(key_cache_seconds=0.05)))) as found:
        yield found


@pytest.mark.integration
def test_a_revoked_key_opens_nothing_once_the_cache_has_forgotten(forgetful: TestClient, sql: ClickHouse) -> None:
    """Rotation: the second key goes on."""
    client, first, second = forgetful, new_key(sql, MINE), new_key(sql, MINE)
    assert client.get("/v1/invoices", headers={"X-API-Key": first}).status_code == 200
    key_store.revoke(sql, first.split("_")[1], "test")
    for _ in range(200):
        if client.get("/v1/invoices", headers={"X-API-Key": first}).status_code == 401:
            break
    else:
        pytest.fail("a revoked key still opens")
    assert client.get("/v1/invoices", headers={"X-API-Key": second}).status_code == 200


@pytest.fixture
def run(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs `taximeter keys` against the filled database."""
    monkeypatch.setenv("CLICKHOUSE_URL", filled.settings.url.get_secret_value())
    monkeypatch.setenv("CLICKHOUSE_DATABASE", filled.settings.database)
    app = typer.Typer()
    commands.register(app)
    return lambda *words: CliRunner().invoke(app, ["keys", *words])


@pytest.mark.integration
def test_the_command_shows_a_secret_once(run: Callable[..., Result], client: TestClient, sql: ClickHouse) -> None:
    """It opens, it is in no table and no list, and revoking it twice is revoking it once."""
    created = json.loads(
        run("create", "dashboard", "--account", MINE, "--scope", "read", "--days", "3", "--json").stdout
    )
    answer = client.get("/v1/usage", headers={"X-API-Key": created["key"]})
    assert answer.status_code == 200
    secret = created["key"].split("_")[2]
    assert secret not in str(sql.rows("SELECT * FROM stored_api_keys")) + run("list", "--json").stdout
    listed = json.loads(run("list", "--account", MINE, "--json").stdout)["keys"]
    (mine,) = [one for one in listed if one["key_id"] == created["key_id"]]
    assert (mine["state"], mine["scopes"], mine["account_id"]) == ("active", ["read"], MINE)
    first = json.loads(run("revoke", created["key_id"], "--json").stdout)
    assert json.loads(run("revoke", created["key_id"], "--json").stdout) == first
    assert first["state"] == "revoked"


@pytest.mark.integration
def test_wrong_commands_say_what_to_mend(run: Callable[..., Result]) -> None:
    """Exit code 1: no such scope, no such key, no account."""
    for words in (
        ("create", "x", "--account", "a", "--scope", "write"),
        ("revoke", "no-such-key"),
        ("create", "x", "--account", "", "--scope", "read"),
    ):
        done = run(*words)
        assert done.exit_code == 1, done.output
        assert "mend:" in done.output
