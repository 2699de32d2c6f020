"""Tapping and untapping: lazily, once, and without a trace."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import aiohttp
import httpx
import httpx2
import pytest
import requests
import urllib3
from aiohttp.client_reqrep import ClientRequest
from tests.instrument.drivers import DRIVERS, Post
from tests.instrument.loopback import Answer, Loopback
from urllib3.connection import HTTPConnection

from taximeter.instrument import LIBRARIES, instrument, uninstrument
from taximeter.testing import RecordedMeter
from taximeter_schemas.errors import Misconfigured

OWNERS = (
    *(kind for module in (httpx, httpx2) for kind in (module.HTTPTransport, module.AsyncHTTPTransport, module.Client)),
    *(kind for module in (httpx, httpx2) for kind in (module.MockTransport, module.ASGITransport, module.AsyncClient)),
    requests.Session,
    urllib3.HTTPConnectionPool,
    urllib3.HTTPResponse,
    HTTPConnection,
    aiohttp.BaseConnector,
    aiohttp.ClientResponse,
    aiohttp.StreamReader,
    ClientRequest,
)


def _python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_no_library_is_imported() -> None:
    """Importing the package imports no HTTP library and no wrapt; tapping imports no HTTP library."""
    assert (
        _python(
            "import sys, taximeter, taximeter.instrument as i\n"
            "assert 'wrapt' not in sys.modules\n"
            "print(i.instrument(), [n for n in i.LIBRARIES if n in sys.modules])"
        )
        == "[] []"
    )


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_is_tapped_at_its_first_import(library: str) -> None:
    """One that is imported after the tap is tapped then; after the end, a later import is not."""
    code = (
        "import importlib, sys, taximeter.instrument as i\n"
        "from taximeter.instrument import registry\n"
        f"i.instrument(libraries=['{library}'])\n"
        f"importlib.import_module('{library}')\n"
        f"assert '{library}' in registry._patches\n"
        f"assert i.instrument(libraries=['{library}']) == ['{library}']\n"
        "i.uninstrument()\n"
        "assert not registry._patches\n"
        "print('good')"
    )
    assert _python(code) == "good"


def test_an_import_after_the_end_is_not_tapped() -> None:
    """The watch stays, and does nothing."""
    code = (
        "import taximeter.instrument as i\n"
        "i.instrument(); i.uninstrument()\n"
        "import urllib3\n"
        "print(type(urllib3.HTTPConnectionPool._make_request).__name__)"
    )
    assert _python(code) == "function"


def _attributes() -> list[dict[str, int]]:
    # A wrapper of wrapt says it is equal to what it wraps; identity tells.
    return [{name: id(value) for name, value in vars(owner).items()} for owner in OWNERS]


def test_unwrapping_restores_the_originals(recorded: RecordedMeter) -> None:
    """After any number of taps and one end, every attribute of every class is the one it was."""
    before = _attributes()
    assert instrument(recorded.meter) == list(LIBRARIES)
    assert instrument(recorded.meter, include_usage=True) == list(LIBRARIES)
    assert _attributes() != before
    uninstrument()
    uninstrument()
    assert _attributes() == before


def test_what_others_wrapped_over_ours_stays(recorded: RecordedMeter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours then only passes calls on."""
    instrument(recorded.meter)
    ours = urllib3.HTTPConnectionPool._make_request
    over = lambda self, *args, **kwargs: ours(self, *args, **kwargs)  # noqa: E731 - a wrapper of somebody else
    monkeypatch.setattr(urllib3.HTTPConnectionPool, "_make_request", over)
    uninstrument()
    assert urllib3.HTTPConnectionPool.__dict__["_make_request"] is over
    with Loopback(Answer([b"{}"])) as server, recorded.meter.run(account_id="a") as run, run.node("n"):
        assert urllib3.request("POST", server.url()).data == b"{}"
    assert recorded.only().http is None
    monkeypatch.undo()
    # What we left under theirs is taken away, for the other tests.
    monkeypatch.setattr(urllib3.HTTPConnectionPool, "_make_request", ours.__wrapped__)
    urllib3.HTTPConnectionPool._make_request = ours.__wrapped__  # type: ignore[method-assign]  # as it was
    monkeypatch.undo()
    urllib3.HTTPConnectionPool._make_request = ours.__wrapped__  # type: ignore[method-assign]  # as it was


@pytest.mark.parametrize(
    ("libraries", "driver", "requests_seen"),
    [
        (["requests"], "requests-read", 1),
        (["requests"], "urllib3-read", 0),
        (["urllib3"], "requests-read", 1),
        (["requests", "urllib3"], "requests-read", 1),
        (["requests", "urllib3"], "requests-stream", 1),
        (["httpx"], "httpx2-read", 0),
        (["httpx2"], "httpx2-read", 1),
    ],
)
def test_each_request_counts_once_and_only_where_it_was_asked_for(
    libraries: list[str], driver: str, requests_seen: int, server: Loopback, recorded: RecordedMeter
) -> None:
    """requests sits on urllib3: with both tapped one of them counts, with one of them tapped its own."""
    instrument(recorded.meter, libraries=libraries)
    server.say(Answer([b"12345"]))
    with recorded.meter.run(account_id="a") as run, run.node("n"):
        DRIVERS[driver](Post(server.url("/x"), b"abc"))
    http = recorded.only().http
    assert (http is None) == (requests_seen == 0)
    if http is not None:
        assert (http.requests, http.bytes_out, http.bytes_in, http.errors) == (1, 3, 5, 0)


def test_an_unknown_library_is_refused() -> None:
    """The message names those that there are."""
    with pytest.raises(Misconfigured, match="curl"):
        instrument(libraries=["curl"])


def test_without_wrapt_the_message_names_the_mend() -> None:
    """It is an optional package, and says so."""
    code = (
        "import sys; sys.modules['wrapt'] = None\n"
        "from taximeter.instrument import instrument, uninstrument\n"
        "uninstrument()\n"
        "try: instrument()\n"
        "except Exception as error: print(type(error).__name__, 'pip install' in str(error))"
    )
    assert _python(code) == "Misconfigured True"


def test_a_fault_of_ours_is_noted_and_the_call_goes_on(server: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever breaks inside a tap, the caller has the answer."""
    from taximeter.instrument import exchange
    from taximeter.testing import memory_meter

    def broken(*_given: object, **_named: object) -> None:
        raise ZeroDivisionError

    calls: list[tuple[str, Callable[..., object]]] = [
        ("taximeter.instrument.exchange.current_node", broken),
        ("taximeter.instrument.exchange.Reading", broken),
        ("taximeter.instrument.exchange.outcome_of", broken),
        ("taximeter.instrument.hide.is_usage_chunk", broken),
        ("taximeter.instrument.reading.UsageReader", broken),
    ]
    assert exchange
    server.say(
        Answer([b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n'], headers={"content-type": "text/event-stream"})
    )
    post = Post(server.url("/v1/chat/completions"), b'{"stream":true}', {"content-type": "application/json"})
    with memory_meter() as recorded:
        for place, instead in calls:
            for driver, call in DRIVERS.items():
                if driver == "requests-lines":
                    continue
                with monkeypatch.context() as patch, recorded.meter.run(account_id="a") as run, run.node("n"):
                    patch.setattr(place, instead)
                    instrument(recorded.meter, include_usage=True, providers={"127.0.0.1": "openai"})
                    got = call(post)
                    assert (got.status, got.body) in ((200, server._answers[0].body), (200, b"")), (place, driver)
        assert recorded.meter.faults.count > 0
        uninstrument()
