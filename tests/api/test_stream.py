"""Streams over real servers: what is told at once and when it changes, to whom, and when it ends."""

from __future__ import annotations

import secrets
import socket
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from pydantic import SecretStr
from tests.api.listening import Heard, Live, hearing, live
from tests.api.new_key import new_key
from tests.api.use import event
from tests.api.writing import ALL, services_at
from tests.databases import Databases
from tests.quota.sdk.conftest import Site
from tests.rollups.database import with_book
from tests.rollups.rows import Sink
from tests.sink.tcp_proxy import LossyProxy, lossy_proxy

from taximeter_consumers.api import key_store
from taximeter_consumers.api.keys import ALL_ACCOUNTS
from taximeter_consumers.api.services import services_of
from taximeter_consumers.api.settings import ApiSettings
from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.rollups import tick
from taximeter_infra.stack.child import Child, ChildSpec
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.settings import ClickHouseSettings

pytestmark = pytest.mark.integration
EACH = 3


@dataclass
class Place:
    """A server over a ClickHouse that may be hidden from it, without Kafka; each test takes accounts of its own."""

    at: Live
    clickhouse: ClickHouse
    proxy: LossyProxy
    sink: Sink

    def use(self, account: str, tokens: int, **more: Any) -> None:
        """Somebody has used something just now, and the rollups know it."""
        call = event(account, "run", "node", occurred_at=datetime.now(UTC), **more)
        assert call.ai is not None
        self.sink.store([call.model_copy(update={"ai": call.ai.model_copy(update={"total_tokens": tokens})})])
        tick(self.clickhouse)

    def hear(self, key: str, **parameters: str) -> AbstractContextManager[Heard]:
        """A stream."""
        return hearing(f"{self.at.url}/v1/stream", {"X-API-Key": key}, **parameters)

    def get(self, path: str, key: str, **parameters: str) -> httpx.Response:
        """One request."""
        return httpx.get(self.at.url + path, params=parameters, headers={"X-API-Key": key}, trust_env=False, timeout=60)


@pytest.fixture(scope="module")
def place(databases: Databases) -> Iterator[Place]:
    """Looks ten times a second, so that tests need not wait."""
    settings = ApiSettings(
        key_cache_seconds=0.05, streams_per_key=EACH, stream_look_seconds=0.1, stream_stall_seconds=1.0
    )
    with ExitStack() as held:
        direct = held.enter_context(databases.borrowed())
        clickhouse = held.enter_context(with_book(direct))
        parts = urlsplit(direct.url.get_secret_value())
        proxy = held.enter_context(lossy_proxy(("127.0.0.1", parts.port or 0), b"usage_by_subject", most=0))
        hidden = parts._replace(netloc=parts.netloc.replace(str(parts.port), str(proxy.port)))
        services = services_of(ClickHouseSettings(url=SecretStr(hidden.geturl()), database=direct.database), settings)
        yield Place(held.enter_context(live(services)), clickhouse, proxy, Sink(clickhouse))


@pytest.fixture
def account() -> str:
    """One that no other test has."""
    return f"s{secrets.token_hex(5)}"


def test_a_stream_tells_all_at_once_and_then_what_changes(place: Place, account: str) -> None:
    """The bar as the route gives it, the totals of today, and how fresh they are; new use changes the bar and the sums,
    of a user's stream only the user's."""
    place.use(account, 1_000)
    key = new_key(place.clickhouse, account)
    with place.hear(key) as heard, place.hear(key, userId="bob") as bobs:
        assert (heard.status, heard.type) == (200, "text/event-stream; charset=utf-8")
        bar = place.get("/api/account/usage", key).json()
        assert heard.event("usage") == {**bar, "accountId": account}
        assert bar["used"] == 1_000
        totals = heard.event("totals")
        assert datetime.fromisoformat(totals["since"]).time().isoformat() == "00:00:00"
        counts = {"totalTokens": 1_000, "events": 1, "aiCalls": 1, "unpricedCalls": 0}
        assert counts.items() <= totals.items()
        summary = place.get("/api/metering/summary", key, **{"from": totals["since"]}).json()
        assert totals["costUsd"] == summary["rows"][0]["cost"]["costUsd"]
        fresh = heard.event("freshness")
        assert (fresh["ready"], fresh["reasons"], fresh["unreadRecords"]) == (True, [], None)
        assert bobs.event("totals")["totalTokens"] == 0
        place.use(account, 500, user_id="bob")
        assert heard.event("usage", lambda data: data["used"] == 1_500)
        assert heard.event("totals", lambda data: data["totalTokens"] == 1_500)
        assert bobs.event("totals", lambda data: data["totalTokens"] > 0)["totalTokens"] == 500
        assert {name for name, _ in heard.told} == {"usage", "totals", "freshness"}


def test_a_tenant_hears_nothing_of_another(place: Place, account: str) -> None:
    """404 for another's account, whether it exists or not; its use changes nothing; operators hear the sums of all."""
    rival = f"rival{account}"
    place.use(rival, 70)
    key, operator = new_key(place.clickhouse, account), new_key(place.clickhouse, ALL_ACCOUNTS)
    for other in (rival, "no-such-account"):
        assert place.get("/v1/stream", key, accountId=other).status_code == 404
    assert httpx.get(f"{place.at.url}/v1/stream", trust_env=False).status_code == 401
    with place.hear(key) as mine, place.hear(operator) as all_of_them, place.hear(operator, accountId=rival) as theirs:
        assert theirs.event("usage")["used"] == 70
        before = all_of_them.event("totals")["totalTokens"]
        assert mine.event("totals")["totalTokens"] == 0
        place.use(rival, 30)
        assert theirs.event("usage", lambda data: data["used"] == 100)
        assert all_of_them.event("totals", lambda data: data["totalTokens"] == before + 30)
        place.use(account, 5)
        assert mine.event("totals", lambda data: data["totalTokens"] != 0)["totalTokens"] == 5
        assert rival not in str(mine.told)
        assert "usage" not in {name for name, _ in all_of_them.told}


def test_a_revoked_key_ends_its_streams(place: Place, account: str) -> None:
    """With a word of why; another key's stream goes on."""
    key, other = new_key(place.clickhouse, account), new_key(place.clickhouse, account)
    with place.hear(key) as heard, place.hear(other) as kept:
        heard.event("usage")
        key_store.revoke(place.clickhouse, key.split("_")[1], "test")
        assert "holds no more" in heard.event("trouble")["detail"]
        heard.wait(lambda stream: stream.is_over)
        place.use(account, 9)
        assert kept.event("usage", lambda data: data["used"] == 9)
    assert place.get("/v1/stream", key).status_code == 401


def test_a_key_has_so_many_streams(place: Place, account: str) -> None:
    """429 for one more, which says when to come again; a stream that is closed makes room."""
    key = new_key(place.clickhouse, account)
    with ExitStack() as held:
        for _ in range(EACH):
            held.enter_context(place.hear(key)).event("usage")
        refused = place.get("/v1/stream", key)
        assert (refused.status_code, refused.json()["type"]) == (429, "/docs#too-many-requests")
        assert int(refused.headers["retry-after"]) > 0
    streams = place.at.app.state.streams
    assert wait_until(lambda: streams._admission.count == 0, 60)
    with place.hear(key) as heard:
        heard.event("usage")
    # Nobody listens, so nobody looks.
    assert wait_until(lambda: not streams._boards and not streams._tasks, 60)


def test_while_clickhouse_is_away_a_stream_says_so_and_goes_on(place: Place, account: str) -> None:
    """`trouble` once, and the numbers anew when they are there again; those who come meanwhile hear of it, too."""
    place.use(account, 3)
    key = new_key(place.clickhouse, account)
    with place.hear(key) as heard:
        heard.event("totals")
        place.proxy.most = 10**9
        assert "ClickHouse" in heard.event("trouble")["detail"]
        with place.hear(key) as late:
            late.event("trouble")
        place.proxy.most = 0
        heard.wait(lambda stream: [name for name, _ in stream.told if name == "totals"][1:])
        assert heard.last("totals")["totalTokens"] == 3
        assert [name for name, _ in heard.told].count("trouble") == 1


def test_a_slow_reader_is_dropped(place: Place, account: str) -> None:
    """One that takes nothing: its connection is broken, however much there would be to say, and others hear it all."""
    key = new_key(place.clickhouse, account)
    streams = place.at.app.state.streams
    dropped = lambda: place.at.app.state.services.metrics.registry.get_sample_value(  # noqa: E731 - asked twice
        "taximeter_api_dropped_streams_total"
    )
    before = dropped()
    with socket.socket() as slow, place.hear(key) as quick:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        where = urlsplit(place.at.url)
        slow.connect((where.hostname, where.port))
        slow.sendall(f"GET /v1/stream HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n\r\n".encode())
        assert slow.recv(16).startswith(b"HTTP/1.1 200")
        quick.event("usage")
        (task, *_) = streams._tasks
        board = next(board for watched, board in streams._boards.items() if watched and watched.account_id == account)

        def shout(number: int) -> None:
            board.trouble('{"detail": "' + str(number) * 100_000 + '"}')

        for number in range(5):
            task.get_loop().call_soon_threadsafe(shout, number)
            quick.event("trouble", lambda data, said=str(number): data["detail"].startswith(said))
        assert wait_until(lambda: dropped() == before + 1, 60)
        place.use(account, 8)
        assert quick.event("usage", lambda data: data["used"] == 8)


def test_charged_tokens_come_through_the_whole_pipeline(serving: Site) -> None:
    """Simulated tokens move the bar and the quota at once, and today's sums by way of Kafka, sink and aggregator."""
    account = serving.account(1_000).account_id
    key = new_key(serving.clickhouse, account, ALL)
    headers = {"X-API-Key": key}
    commands = {"sink": ("sink",), "aggregate": ("aggregate", "--follow", "--interval", "0.25")}
    with ExitStack() as held:
        for name, words in commands.items():
            argv = (sys.executable, "-m", "taximeter_infra", *words)
            spec = ChildSpec(name, argv, serving.logs / f"{name}.log", environment=serving.environment)
            held.callback(Child.start(spec).stop)
        at = held.enter_context(live(services_at(serving)))
        heard = held.enter_context(hearing(f"{at.url}/v1/stream", headers))
        assert heard.event("usage")["used"] == 0
        (standing,) = heard.event("quota")["standings"]
        assert (standing["used"], standing["limit"], standing["level"]) == ("0", "1000", f"account/{account}")
        answer = httpx.post(
            f"{at.url}/api/test/simulate-tokens", json={"tokens": 250}, headers=headers, trust_env=False, timeout=60
        )
        assert answer.json()["ok"], answer.text
        assert heard.event("usage", lambda data: data["used"] == 250)["percent"] == 25.0
        assert heard.event("quota", lambda data: data["standings"][0]["used"] == "250")
        assert heard.event("totals", lambda data: data["totalTokens"] == 250)["estimatedCalls"] == 1

        def is_the_same() -> bool:
            shown = httpx.get(f"{at.url}/v1/quota/{account}", headers=headers, trust_env=False, timeout=60).json()
            told = {"subject": {"accountId": account, "userId": None}, "standings": shown["standings"]}
            return bool(heard.last("quota") == told)

        # While a tick writes, a charge counts twice for a moment, as event and as hold.
        assert wait_until(is_the_same, 60)


def test_a_stop_does_not_wait_for_streams(databases: Databases) -> None:
    """They end at once, and so does the server, long before it would break off what is in hand."""
    with databases.borrowed() as settings, with_book(settings) as clickhouse:
        key = new_key(clickhouse, "a")
        with live(services_of(settings, ApiSettings())) as at, ExitStack() as held:
            headers = {"X-API-Key": key}
            streams = [held.enter_context(hearing(f"{at.url}/v1/stream", headers)) for _ in range(5)]
            for heard in streams:
                heard.event("totals")
            at.stop.set()
            for heard in streams:
                heard.wait(lambda stream: stream.is_over)
            # Well under the ten seconds of grace that an answer in hand would have.
            at.thread.join(8)
            assert not at.thread.is_alive()
