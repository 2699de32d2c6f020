"""What is counted as a request, and as bytes: redirects, retries, reuse, uploads, heads, other transports."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import requests
import requests.adapters
import urllib3
from tests.instrument.drivers import DRIVERS, Post
from tests.instrument.loopback import Answer, Loopback
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from taximeter.instrument import instrument
from taximeter.testing import RecordedMeter
from taximeter_schemas.event import HttpUsage

BODY = b"x" * 100_000
HOPS = (Answer([b"there"], status=307, headers={"location": "/next"}), Answer([b"here"]))


@pytest.fixture
def tapped(recorded: RecordedMeter) -> RecordedMeter:
    """All libraries."""
    instrument(recorded.meter)
    return recorded


def _http(tapped: RecordedMeter, work: Callable[[], object]) -> tuple[int, int, int, int]:
    with tapped.meter.run(account_id="a") as run, run.node("n"):
        work()
    http = tapped.only().http or HttpUsage()
    return http.requests, http.bytes_out, http.bytes_in, http.errors


async def _aiohttp(url: str, **options: Any) -> bytes:
    async with aiohttp.ClientSession() as session, session.post(url, **options) as answer:
        return await answer.read()


async def _httpx_async(module: Any, url: str, **options: Any) -> bytes:
    async with module.AsyncClient(follow_redirects=True) as client:
        body: bytes = (await client.post(url, **options)).content
        return body


FOLLOWERS: dict[str, Callable[[str], object]] = {
    "httpx": lambda url: httpx.post(url, content=b"abc", follow_redirects=True),
    "httpx2": lambda url: httpx2.post(url, content=b"abc", follow_redirects=True),
    "httpx-async": lambda url: asyncio.run(_httpx_async(httpx, url, content=b"abc")),
    "requests": lambda url: requests.post(url, data=b"abc", timeout=20),
    "urllib3": lambda url: urllib3.request("POST", url, body=b"abc"),
    "aiohttp": lambda url: asyncio.run(_aiohttp(url, data=b"abc")),
}


@pytest.mark.parametrize("library", FOLLOWERS)
def test_each_hop_is_a_request(library: str, server: Loopback, tapped: RecordedMeter) -> None:
    """A redirect's own answer counts, and the body as often as it is sent."""
    server.say(*HOPS)
    seen = _http(tapped, lambda: FOLLOWERS[library](server.url("/first")))
    assert [asked.path for asked in server.asked] == ["/first", "/next"]
    assert seen[0] == 2
    assert seen[1] == 6
    # A library may leave a redirect's answer unread; what it has read is counted.
    assert seen[2] in (9, 4)
    assert seen[3] == 0


def test_each_try_is_a_request(server: Loopback, tapped: RecordedMeter) -> None:
    """urllib3's retries, of statuses and of broken connections."""
    server.say(Answer([b"wait"], status=503), Answer(silent=True, ending="drop"), Answer([b"good"]))
    retries = urllib3.Retry(5, status_forcelist=[503], allowed_methods=None)
    seen = _http(tapped, lambda: urllib3.PoolManager(retries=retries).request("POST", server.url(), body=b"abc"))
    assert seen == (3, 9, 8, 2)


def _pieces() -> Iterator[bytes]:
    yield BODY[:10]
    yield BODY[10:]


async def _apieces() -> AsyncIterator[bytes]:
    for piece in _pieces():
        yield piece


UPLOADS: dict[str, Callable[[str], object]] = {
    "httpx-pieces": lambda url: httpx.post(url, content=_pieces()),
    "httpx2-file": lambda url: httpx2.post(url, content=io.BytesIO(BODY)),
    "httpx-async": lambda url: asyncio.run(_httpx_async(httpx, url, content=_apieces())),
    "requests-pieces": lambda url: requests.post(url, data=_pieces(), timeout=20),
    "requests-file": lambda url: requests.post(url, data=io.BytesIO(BODY), timeout=20),
    "requests-text": lambda url: requests.post(url, data=BODY.decode(), timeout=20),
    "urllib3-file": lambda url: urllib3.request("POST", url, body=io.BytesIO(BODY)),
    "urllib3-text-file": lambda url: urllib3.request("POST", url, body=io.StringIO(BODY.decode())),
    "urllib3-array": lambda url: urllib3.request("POST", url, body=bytearray(BODY)),
    "aiohttp-pieces": lambda url: asyncio.run(_aiohttp(url, data=_apieces())),
    "aiohttp-file": lambda url: asyncio.run(_aiohttp(url, data=io.BytesIO(BODY))),
    "aiohttp-bytes": lambda url: asyncio.run(_aiohttp(url, data=BODY)),
}


@pytest.mark.parametrize("upload", UPLOADS)
def test_an_upload_counts_the_bytes_of_its_body(upload: str, server: Loopback, tapped: RecordedMeter) -> None:
    """However it is given; the framing of chunks is not counted, and the server gets the same bytes."""
    server.say(Answer([b"ok"]))
    assert _http(tapped, lambda: UPLOADS[upload](server.url())) == (1, len(BODY), 2, 0)
    assert server.asked[0].body == BODY


@pytest.mark.parametrize("module", [httpx, httpx2, requests])
def test_answers_without_a_body_are_settled_at_their_head(module: Any, server: Loopback, tapped: RecordedMeter) -> None:
    """HEAD, 204, 304, and a length of zero."""
    answers = (Answer([b"12345"]), Answer(status=204), Answer(status=304), Answer([b""]))
    server.say(*answers)

    def work() -> None:
        options = {"stream": True, "timeout": 20} if module is requests else {}
        module.head(server.url(), **({"timeout": 20} if module is requests else {}))
        for _ in answers[1:]:
            module.get(server.url(), **options)

    assert _http(tapped, work) == (4, 0, 0, 0)


@pytest.mark.parametrize("library", ["httpx", "requests", "urllib3", "aiohttp"])
def test_connections_are_reused_as_without_us(library: str, server: Loopback, tapped: RecordedMeter) -> None:
    """Three calls by one client take one connection."""
    server.say(Answer([b"abc", b"def"], framing="chunked"))

    async def by_aiohttp() -> None:
        async with aiohttp.ClientSession() as session:
            for _ in range(3):
                async with session.post(server.url(), data=b"1") as answer:
                    await answer.read()

    def work() -> None:
        if library == "httpx":
            with httpx.Client() as client:
                for _ in range(3):
                    client.post(server.url(), content=b"1")
        elif library == "requests":
            with requests.Session() as session:
                for _ in range(3):
                    session.post(server.url(), data=b"1", timeout=20, stream=True).raw.read()
        elif library == "urllib3":
            pool = urllib3.PoolManager()
            for _ in range(3):
                list(pool.request("POST", server.url(), body=b"1", preload_content=False).stream())
        else:
            asyncio.run(by_aiohttp())

    assert _http(tapped, work) == (3, 3, 18, 0)
    assert len({asked.connection for asked in server.asked}) == 1


@pytest.mark.parametrize("module", [httpx, httpx2])
def test_a_transport_of_others_is_counted_from_the_client(module: Any, tapped: RecordedMeter) -> None:
    """A transport that no tap knows: its requests and answers count as the client sees them, streams included."""

    class Canned(module.BaseTransport):  # type: ignore[misc]  # a class of whichever module
        def handle_request(self, request: Any) -> Any:
            return module.Response(200, stream=Pieces())

    class Pieces(module.SyncByteStream):  # type: ignore[misc]  # a class of whichever module
        def __iter__(self) -> Iterator[bytes]:
            yield b"123"
            yield b"45"

    def work() -> None:
        with module.Client(transport=Canned()) as client:
            assert client.post("http://gateway.test/x", content=b"abc").content == b"12345"
            with client.stream("POST", "http://gateway.test/x", content=b"abc") as answer:
                assert list(answer.iter_raw()) == [b"123", b"45"]

    assert _http(tapped, work) == (2, 6, 10, 0)


@pytest.mark.parametrize("module", [httpx, httpx2])
def test_a_retrying_transport_counts_each_try(module: Any, server: Loopback, tapped: RecordedMeter) -> None:
    """What wraps the library's own transport is counted on the wire, not at the client once more."""
    server.say(Answer([b"wait"], status=503), Answer([b"good"]))

    class Twice(module.BaseTransport):  # type: ignore[misc]  # a class of whichever module
        def __init__(self) -> None:
            self.inner = module.HTTPTransport()

        def handle_request(self, request: Any) -> Any:
            answer = self.inner.handle_request(request)
            answer.read()
            answer.close()
            return self.inner.handle_request(request)

        def close(self) -> None:
            self.inner.close()

    def work() -> None:
        with module.Client(transport=Twice()) as client:
            assert client.post(server.url(), content=b"abc").content == b"good"

    assert _http(tapped, work) == (2, 6, 8, 1)


def test_an_adapter_of_others_is_counted_from_the_session(tapped: RecordedMeter) -> None:
    """An adapter of requests that never reaches urllib3."""

    class Canned(requests.adapters.BaseAdapter):
        def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
            answer = requests.Response()
            answer.status_code, answer.url, answer.raw = 200, request.url, io.BytesIO(b"12345")
            return answer

        def close(self) -> None:
            pass

    def work() -> None:
        with requests.Session() as session:
            session.mount("test://", Canned())
            assert session.post("test://x/y", data=b"abc").content == b"12345"

    assert _http(tapped, work) == (1, 3, 5, 0)


def test_urllib3_with_connections_of_its_own_kind(server: Loopback, tapped: RecordedMeter) -> None:
    """As botocore does: a pool and connections of one's own, by `urlopen`, with a body already encoded."""

    class Connection(HTTPConnection):
        def request(
            self, method: str, url: str, body: Any = None, headers: Any = None, *args: Any, **kwargs: Any
        ) -> None:
            super().request(method, url, body, headers, *args, **kwargs)

    class Pool(HTTPConnectionPool):
        ConnectionCls = Connection

    server.say(Answer([b"12345"]))

    def work() -> None:
        with Pool("127.0.0.1", server.port) as pool:
            answer = pool.urlopen(
                method="POST", url="/model/m/converse", body=b"abc", headers={"content-length": "3"}, retries=False,
                preload_content=False, decode_content=False, assert_same_host=False, chunked=False,
            )  # fmt: skip
            assert b"".join(answer.stream()) == b"12345"

    assert _http(tapped, work) == (1, 3, 5, 0)


def test_a_forwarding_proxy_sees_the_host_that_is_meant(server: Loopback, tapped: RecordedMeter) -> None:
    """Behind a proxy the provider is known by the URL, for each library."""
    body = b'{"id":"c1","model":"gpt-4o","usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}'
    server.say(Answer([body]))
    url, proxy = "http://api.openai.com/v1/chat/completions", server.url()

    def work() -> None:
        httpx.post(url, content=b"{}", proxy=proxy, trust_env=False)
        httpx2.post(url, content=b"{}", proxy=proxy, trust_env=False)
        requests.post(url, data=b"{}", proxies={"http": proxy}, timeout=20)
        urllib3.ProxyManager(proxy).request("POST", url, body=b"{}")
        asyncio.run(_aiohttp(url, data=b"{}", proxy=proxy))

    with tapped.meter.run(account_id="a") as run, run.node("n"):
        work()
    (event,) = tapped.events
    assert event.ai is not None
    assert event.http is not None
    assert (event.http.requests, event.ai.provider, event.ai.input_tokens) == (5, "openai", 15)


def test_outside_every_run_use_is_unattributed(server: Loopback, tapped: RecordedMeter) -> None:
    """It is counted, and no event is made of it."""
    before = tapped.meter.counters().unattributed
    DRIVERS["httpx-read"](Post(server.url()))
    assert tapped.meter.counters().unattributed == before + 1
    assert tapped.events == []
