"""How a call can end: closed early, dropped, timed out, cancelled, forgotten, refused. Each is told apart, and once."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import requests
import urllib3
from tests.instrument.drivers import DRIVERS, Post
from tests.instrument.loopback import PATIENCE, Answer, Loopback

from taximeter.instrument import instrument
from taximeter.testing import RecordedMeter
from taximeter_schemas.event import MeterEvent

SSE = {"content-type": "text/event-stream"}
START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",'
    b'"model":"claude-sonnet-4-5","content":[],"usage":{"input_tokens":11,"cache_creation_input_tokens":0,'
    b'"cache_read_input_tokens":0,"output_tokens":1}}}\n\n'
)
PATH = "/v1/messages"
DELTA = b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hello"}}\n\n'
CHAT = "/v1/chat/completions"
STREAMS = [name for name in DRIVERS if name not in ("requests-lines", "urllib3-into", "urllib3-file")]


@pytest.fixture
def tapped(recorded: RecordedMeter) -> RecordedMeter:
    """All libraries, with the loopback address known as Anthropic's."""
    instrument(recorded.meter, providers={"127.0.0.1": "anthropic"})
    return recorded


def _in_node(tapped: RecordedMeter, work: Callable[[], object]) -> list[MeterEvent]:
    with tapped.meter.run(account_id="a") as run, run.node("n"):
        work()
    return tapped.events


def _outcome(events: list[MeterEvent]) -> str | None:
    return next((e.provider_metadata.get("call_outcome") for e in events if e.provider_metadata), None)


def _assert_partial(events: list[MeterEvent], outcome: str, errors: int, bytes_in: int | None = None) -> None:
    (event,) = events
    assert event.http is not None
    assert event.ai is not None
    assert (event.http.requests, event.http.errors) == (1, errors)
    assert bytes_in is None or event.http.bytes_in == bytes_in
    assert (event.ai.quality, event.ai.input_tokens) == ("partial", 11)
    assert _outcome(events) == outcome
    assert event.outcome == "success"


@pytest.mark.parametrize("driver", STREAMS)
@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_a_dropped_connection_is_an_error(driver: str, framing: str, server: Loopback, tapped: RecordedMeter) -> None:
    """What was stated until then is partial; the caller has the library's own exception."""
    server.say(Answer([START, DELTA], headers=SSE, framing=framing, ending="drop"))
    post = Post(server.url(PATH))

    def work() -> None:
        with pytest.raises(
            (httpx.HTTPError, httpx2.HTTPError, OSError, urllib3.exceptions.HTTPError, aiohttp.ClientError)
        ):
            DRIVERS[driver](post)

    _assert_partial(_in_node(tapped, work), "error", 1, len(START + DELTA))


@pytest.mark.parametrize("driver", [name for name in STREAMS if name != "urllib3-read1"])
def test_a_timeout_is_a_timeout(driver: str, server: Loopback, tapped: RecordedMeter) -> None:
    """A body that stops coming is told from one that breaks off."""
    server.say(Answer([START], headers=SSE, framing="chunked", ending="hang"))
    raised: list[BaseException] = []

    def work(seconds: float) -> None:
        try:
            DRIVERS[driver](Post(server.url(PATH), timeout=seconds))
        except Exception as error:  # noqa: BLE001 - each library has its own
            raised.append(error)

    for seconds in (0.3, 5):
        event = _in_node(tapped, partial(work, seconds))[-1]
        # On a busy machine the time may be over before the answer begins, and then there is no call to judge.
        if event.ai is not None:
            break
    assert raised
    events = [event]
    assert event.http is not None
    assert event.http.errors == 1
    assert _outcome(events) == "timeout"
    assert event.ai is not None
    # Where the caller asks for the whole body at once, what had come may be lost with the connection.
    assert event.ai.quality in ("partial", "missing")
    if "read" not in driver or driver.startswith(("httpx", "aiohttp")):
        _assert_partial(events, "timeout", 1, len(START))


@pytest.mark.parametrize("driver", ["httpx-read", "httpx-async-read", "requests-read", "urllib3-read", "aiohttp-read"])
@pytest.mark.parametrize(("ending", "outcome"), [("drop", "error"), ("hang", "timeout")])
def test_no_answer_at_all(driver: str, ending: str, outcome: str, server: Loopback, tapped: RecordedMeter) -> None:
    """A request that left and was not answered: its use is missing, not zero, and it is an HTTP error."""
    server.say(Answer(silent=True, ending=ending))

    def work() -> None:
        with pytest.raises(Exception):  # noqa: B017, PT011 - each library has its own
            DRIVERS[driver](Post(server.url(PATH), b'{"model":"claude-sonnet-4-5"}', timeout=0.3))

    events = _in_node(tapped, work)
    (event,) = events
    assert event.http is not None
    assert event.ai is not None
    # aiohttp tries a connection that it kept open once more; a fresh one it does not.
    assert (event.http.requests, event.http.bytes_out, event.http.bytes_in, event.http.errors) == (1, 29, 0, 1)
    assert (event.ai.quality, event.ai.model, event.ai.total_tokens) == ("missing", "claude-sonnet-4-5", 0)
    assert _outcome(events) == outcome


@pytest.mark.parametrize("driver", ["httpx-read", "httpx2-async-read", "requests-read", "urllib3-read", "aiohttp-read"])
def test_a_refused_connection_used_nothing(driver: str, tapped: RecordedMeter) -> None:
    """Nothing left, so nothing was used: an HTTP error, and no call of a model."""
    with Loopback(Answer()) as gone:
        url = gone.url(PATH)

    def work() -> None:
        with pytest.raises(Exception):  # noqa: B017, PT011 - each library has its own
            DRIVERS[driver](Post(url))

    (event,) = _in_node(tapped, work)
    assert event.http is not None
    assert (event.http.requests, event.http.bytes_out, event.http.errors) == (1, 0, 1)
    assert event.ai is None


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_refusing_answer_is_an_error_without_a_call(driver: str, server: Loopback, tapped: RecordedMeter) -> None:
    """Status 400 and above: the bytes count, the error counts, and no tokens are invented."""
    server.say(Answer([b'{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}'], status=429))
    (event,) = _in_node(tapped, lambda: DRIVERS[driver](Post(server.url(PATH))))
    assert event.http is not None
    assert (event.http.requests, event.http.errors) == (1, 1)
    assert event.ai is None


def _close_httpx(module: Any, url: str) -> None:
    with module.Client() as client, client.stream("POST", url, content=b"{}") as answer:
        assert next(answer.iter_raw()) == START


async def _aclose_httpx(module: Any, url: str) -> None:
    async with module.AsyncClient() as client, client.stream("POST", url, content=b"{}") as answer:
        assert await anext(answer.aiter_raw()) == START


def _close_requests(url: str) -> None:
    with requests.post(url, data=b"{}", stream=True, timeout=20) as answer:
        assert next(answer.iter_content(None)) == START


def _close_urllib3(url: str) -> None:
    answer = urllib3.request("POST", url, body=b"{}", preload_content=False)
    chunks = answer.stream()
    assert next(chunks) == START
    chunks.close()
    answer.close()


def _close_urllib3_file(url: str) -> None:
    with urllib3.request("POST", url, body=b"{}", preload_content=False) as answer:
        assert answer.read1(4_096) == START


async def _close_aiohttp(url: str) -> None:
    async with aiohttp.ClientSession() as session, session.post(url, data=b"{}") as answer:
        assert await answer.content.readany() == START


CLOSERS: dict[str, Callable[[str], object]] = {
    "httpx": lambda url: _close_httpx(httpx, url),
    "httpx2": lambda url: _close_httpx(httpx2, url),
    "httpx-async": lambda url: asyncio.run(_aclose_httpx(httpx, url)),
    "httpx2-async": lambda url: asyncio.run(_aclose_httpx(httpx2, url)),
    "requests": _close_requests,
    "urllib3": _close_urllib3,
    "urllib3-file": _close_urllib3_file,
    "aiohttp": lambda url: asyncio.run(_close_aiohttp(url)),
}


@pytest.mark.parametrize("library", CLOSERS)
def test_a_stream_closed_early_is_cancelled(library: str, server: Loopback, tapped: RecordedMeter) -> None:
    """What was stated until then is partial; that is no error of HTTP. The server is not waited for."""
    gate = threading.Event()
    server.say(Answer([START, DELTA], headers=SSE, framing="chunked", gates=[None, gate]))
    events = _in_node(tapped, lambda: CLOSERS[library](server.url(PATH)))
    gate.set()
    _assert_partial(events, "cancelled", 0, len(START))


def _forget_httpx(url: str) -> object:
    client = httpx.Client()
    answer = client.send(client.build_request("POST", url, content=b"{}"), stream=True)
    chunks = answer.iter_raw()
    next(chunks)
    return client


def _forget_requests(url: str) -> object:
    session = requests.Session()
    answer = session.post(url, data=b"{}", stream=True, timeout=20)
    next(answer.iter_content(None))
    return session


def _forget_urllib3(url: str) -> object:
    pool = urllib3.PoolManager()
    answer = pool.request("POST", url, body=b"{}", preload_content=False)
    next(answer.stream())
    return pool


@pytest.mark.parametrize("forget", [_forget_httpx, _forget_requests, _forget_urllib3])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_a_forgotten_stream_is_recorded_once(
    forget: Callable[[str], object], server: Loopback, tapped: RecordedMeter
) -> None:
    """Dropped without a close, it is recorded when it is collected, on the node of its request."""
    gate = threading.Event()
    server.say(Answer([START, DELTA], headers=SSE, framing="chunked", gates=[None, gate]))

    def work() -> None:
        forget(server.url(PATH))
        gc.collect()

    events = _in_node(tapped, work)
    gate.set()
    gc.collect()
    assert tapped.events == events
    _assert_partial(events, "cancelled", 0, len(START))


def test_a_stream_that_has_said_its_last_word_is_whole(server: Loopback, recorded: RecordedMeter) -> None:
    """A caller who stops at the end marker has read all there is, though the connection was not at its end."""
    instrument(recorded.meter, providers={"127.0.0.1": "openai"})
    counts = b'"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}'
    usage = b'data: {"id":"c1","model":"gpt-4o","choices":[],' + counts + b"}\n\n"
    gate = threading.Event()
    server.say(
        Answer([usage + b"data: [DO", b"NE]\n\n", b""], headers=SSE, framing="chunked", gates=[None, None, gate])
    )
    with (
        recorded.meter.run(account_id="a") as run,
        run.node("n"),
        httpx.stream("POST", server.url(CHAT), content=b"{}") as answer,
    ):
        seen = b""
        for chunk in answer.iter_raw():
            seen += chunk
            if seen.endswith(b"[DONE]\n\n"):
                break
    gate.set()
    (event,) = recorded.events
    assert event.ai is not None
    assert (event.ai.quality, event.ai.input_tokens, event.ai.output_tokens) == ("reported", 3, 2)


def test_a_cancelled_task_is_cancelled(server: Loopback, tapped: RecordedMeter) -> None:
    """Cancelling the task that reads is neither a timeout nor an error of the connection."""
    server.say(Answer([START], headers=SSE, framing="chunked", ending="hang"))

    async def read(module: Any) -> None:
        started = asyncio.Event()

        async def reader() -> None:
            async with (
                module.AsyncClient(timeout=PATIENCE) as client,
                client.stream("POST", server.url(PATH), content=b"{}") as answer,
            ):
                async for _ in answer.aiter_raw():
                    started.set()

        task = asyncio.create_task(reader())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    _assert_partial(_in_node(tapped, lambda: asyncio.run(read(httpx2))), "cancelled", 0)


def test_aiohttps_own_deadline_is_a_timeout(server: Loopback, tapped: RecordedMeter) -> None:
    """The session's total time, met while the caller reads."""
    server.say(Answer([START], headers=SSE, framing="chunked", ending="hang"))

    async def read() -> None:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.3)) as session,
            session.post(server.url(PATH), data=b"{}") as answer,
        ):
            assert await answer.content.readany() == START
            with pytest.raises(TimeoutError):
                await answer.content.readany()

    _assert_partial(_in_node(tapped, lambda: asyncio.run(read())), "timeout", 1, len(START))


def test_a_stream_read_later_counts_on_the_node_of_its_request(server: Loopback, tapped: RecordedMeter) -> None:
    """Read in another thread, after the node and inside another, it is still the first one's."""
    server.say(Answer([START], headers=SSE, framing="chunked"))
    answers: list[requests.Response] = []
    with tapped.meter.run(account_id="a") as run:
        with run.node("asker"):
            answers.append(requests.post(server.url(PATH), data=b"{}", stream=True, timeout=20))
        with run.node("reader"):
            thread = threading.Thread(target=lambda: answers[0].content)
            thread.start()
            thread.join(PATIENCE)
    nodes = tapped.by_node()
    assert [event.http for event in nodes["reader"]] == [None]
    kinds = [(event.kind, event.http is not None, event.ai is not None) for event in nodes["asker"]]
    assert ("usage", True, False) in kinds
    assert any(ai for _, _, ai in kinds)
