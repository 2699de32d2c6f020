"""The embedded usage page over HTTP: tokens, what they show, and when they end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.api.conformance import assert_conforms, described
from tests.api.embedding import SECRET, Place
from tests.api.listening import hearing
from tests.api.new_key import new_key
from tests.databases import Databases
from tests.rollups.database import with_book

from taximeter_consumers.api import key_store
from taximeter_consumers.api.embed.tokens import EmbedToken, signed
from taximeter_consumers.api.services import services_of
from taximeter_consumers.api.settings import ApiSettings

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.integration


def test_a_token_shows_the_bar_of_its_account_and_nothing_else(place: Place) -> None:
    """No key opens the page's routes, no token any other; of another account no token is made."""
    account = place.account(1_000, 250)
    key = new_key(place.clickhouse, account)
    made = place.made(key)
    assert made.status_code == 201, made.text
    told = made.json()
    assert told["path"] == f"/embed/usage#token={told['token']}"
    ends = datetime.fromisoformat(told["expiresAt"])
    assert timedelta(minutes=59) < ends - datetime.now(UTC) <= timedelta(hours=1)
    shown = place.read(told["token"]).json()
    assert (shown["used"], shown["limit"], shown["percent"]) == (250, 1_000, 25.0)
    assert (shown["accountId"], shown["userId"]) == (account, None)
    assert not any("cost" in name.lower() for name in shown)
    assert place.made(key, accountId="rival").status_code == 404
    assert place.made(key, ttlSeconds=86_401).status_code == 422
    bearer = {"Authorization": f"Bearer {key}"}
    for url, headers in (
        ("/embed/usage.json", bearer),
        ("/embed/stream", bearer),
        ("/embed/usage.json", {}),
        ("/embed/stream", {}),
        ("/v1/usage", {"Authorization": f"Embed {told['token']}"}),
        ("/v1/stream", {"Authorization": f"Bearer {told['token']}"}),
    ):
        answer = httpx.get(place.at.url + url, headers=headers, trust_env=False, timeout=60)
        assert answer.status_code == 401, url


def test_a_token_of_a_user_shows_that_users_own_use(place: Place) -> None:
    """By the limit that each user has."""
    account = place.account(10_000, user_limit=400)
    place.use(account, 100, "ada")
    place.use(account, 300, "bob")
    token = place.token(account, userId="ada")
    shown = place.read(token).json()
    assert (shown["userId"], shown["used"], shown["limit"], shown["percent"]) == ("ada", 100, 400, 25.0)
    with hearing(f"{place.at.url}/embed/stream", {"Authorization": f"Embed {token}"}) as heard:
        assert heard.event("usage")["used"] == 100
        place.use(account, 50, "ada")
        assert heard.event("usage", lambda data: data["used"] == 150)
        assert {name for name, _ in heard.told} == {"usage"}


def test_a_token_ends_with_its_time_and_with_its_key(place: Place) -> None:
    """An open stream, too; the two refusals differ, as the page says different things."""
    account = place.account(1_000)
    key = new_key(place.clickhouse, account)
    short = place.made(key, ttlSeconds=3).json()["token"]
    with hearing(f"{place.at.url}/embed/stream", {"Authorization": f"Embed {short}"}) as heard:
        heard.event("usage")
        heard.wait(lambda stream: stream.is_over)
    assert place.read(short).json()["type"] == "/docs#token-expired"
    token = place.made(key).json()["token"]
    assert place.read(token).status_code == 200
    own = signed(EmbedToken(account, "", datetime.now(UTC) + timedelta(minutes=5)), SECRET)
    key_store.revoke(place.clickhouse, key.split("_")[1], "test")
    with hearing(f"{place.at.url}/embed/stream", {"Authorization": f"Embed {own}"}) as heard:
        assert heard.event("usage")["used"] == 0
        refused = place.read(token)
        assert (refused.status_code, refused.json()["type"]) == (401, "/docs#no-token")
    for wrong in ("x", own[:-1], signed(EmbedToken(account, "", datetime.now(UTC)), "x" * 32)):
        assert place.read(wrong).json()["type"] == "/docs#no-token"


def test_tokens_do_what_the_document_says(place: Place) -> None:
    """Generated requests: no 5xx, no status, content or body that the document does not have."""
    api = described(place.at.app.state.services)
    account = place.account(1_000)
    assert_conforms(
        api["/v1/embed-tokens"]["POST"], {"Authorization": f"Bearer {new_key(place.clickhouse, account)}"}, examples=10
    )
    assert_conforms(api["/embed/usage.json"]["GET"], {"Authorization": f"Embed {place.token(account)}"}, examples=3)


def test_without_a_secret_there_is_no_embedding(databases: Databases) -> None:
    """404 that names the setting, for whoever has a key."""
    from starlette.testclient import TestClient

    from taximeter_consumers.api.app import create_app

    with (
        databases.borrowed() as settings,
        with_book(settings) as clickhouse,
        TestClient(create_app(services_of(settings, ApiSettings()))) as client,
    ):
        answer = client.post("/v1/embed-tokens", json={}, headers={"X-API-Key": new_key(clickhouse, "a")})
        assert answer.status_code == 404
        assert "TAXIMETER_API_EMBED_SECRET" in answer.json()["detail"]
        assert client.get("/embed/usage.json", headers={"Authorization": "Embed x.y"}).status_code == 401


def test_the_page_is_static_and_says_who_may_frame_it(place: Place) -> None:
    """The same for everybody, nothing from elsewhere, checked by its ETag."""
    for path, kind in (("usage", "text/html"), ("usage.css", "text/css"), ("usage.js", "text/javascript")):
        answer = httpx.get(f"{place.at.url}/embed/{path}", trust_env=False, timeout=60)
        assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
        assert answer.headers["content-security-policy"].endswith(f"frame-ancestors 'self' {place.friend}")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        again = {"If-None-Match": answer.headers["etag"]}
        assert httpx.get(str(answer.url), headers=again, trust_env=False, timeout=60).status_code == 304
        assert "http://" not in answer.text.replace(place.friend, "")
        assert "https://" not in answer.text
