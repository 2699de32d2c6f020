"""Recorded answers of providers, replayed through each library: the caller sees the same, and all of it is counted."""

from __future__ import annotations

import base64
import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.instrument.drivers import DRIVERS, KEEPS_CHUNKS, Post
from tests.instrument.loopback import Answer, Loopback

from taximeter.instrument import instrument, uninstrument
from taximeter.testing import RecordedMeter
from taximeter.usage import provider_of, read_usage
from taximeter_schemas.event import MeterEvent

SAMPLE = Path(__file__).parents[3] / "shared" / "data" / "provider_responses_sample.jsonl"
COUNTERS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "audio_ms",
    "characters",
    "images",
)


def _selection() -> list[dict[str, Any]]:
    """One small record of each provider, shape, kind and way of streaming."""
    if not SAMPLE.exists():
        return []
    chosen: dict[object, dict[str, Any]] = {}
    for line in SAMPLE.read_text().splitlines():
        record = json.loads(line)
        shape = (record["expected"] or {}).get("shape")
        key = (record["provider"], shape, record["kind"], record["stream"], record["status"] >= 400)
        size = len(record.get("response_base64") or record["response_text"] or "")
        if record["status"] < 600 and (key not in chosen or size < len(str(chosen[key].get("response_text") or ""))):
            chosen[key] = record
    return list(chosen.values())


def _body(record: dict[str, Any]) -> bytes:
    if record.get("response_base64"):
        return base64.b64decode(record["response_base64"])
    return (record["response_text"] or "").encode()


def _pieces(body: bytes) -> list[bytes]:
    size = max(1, len(body) // 5)
    return [body[start : start + size] for start in range(0, len(body), size)] or [b""]


RECORDS = _selection()
ENCODED = ("identity", "gzip")
# Every library sees one record of so many, others than its neighbours, in every encoding and framing.
STEP = 5


@pytest.mark.skipif(not RECORDS, reason="the recorded answers of providers are not beside this repository")
@pytest.mark.parametrize("step", [pytest.param(STEP, id="some"), pytest.param(1, id="all", marks=pytest.mark.long)])
@pytest.mark.parametrize("driver", DRIVERS)
def test_recorded_answers_reach_the_caller_unchanged_and_are_counted(
    driver: str, step: int, server: Loopback, recorded: RecordedMeter
) -> None:
    """With the taps, each recorded answer has the same bytes for the caller; its bytes and tokens are counted."""
    call = DRIVERS[driver]
    told = {}
    first = list(DRIVERS).index(driver) % step
    for number, record in list(enumerate(RECORDS))[first::step]:
        body = _body(record)
        encoding = ENCODED[number % 2]
        wire = gzip.compress(body) if encoding == "gzip" else body
        headers = {"content-type": record["content_type"] or "application/json"}
        headers |= {"content-encoding": "gzip"} if encoding == "gzip" else {}
        framing = "chunked" if number % 3 else "length"
        server.say(Answer(_pieces(wire), record["status"], headers, framing))
        asked = (record.get("request_text") or "{}").encode()
        given = {"content-type": "application/json", "host": record["host"]}
        post = Post(server.url(record["request_path"]), asked, given)
        uninstrument()
        before = call(post)
        assert instrument(recorded.meter)
        with recorded.meter.run(account_id="acme") as run, run.node(str(number)):
            after = call(post)
        if driver in KEEPS_CHUNKS and encoding == "identity" and framing == "chunked":
            assert after == before
        assert (after.status, after.body) == (before.status, before.body)
        told[number] = (len(asked), len(wire), record, headers)
    nodes = recorded.by_node()
    assert len(nodes) == len(told) > 0
    for number, (sent, received, record, headers) in told.items():
        _check(nodes[str(number)], (sent, received), record, headers)


def _check(events: list[MeterEvent], size: tuple[int, int], record: dict[str, Any], headers: dict[str, str]) -> None:
    place = record["source"]
    http = events[0].http
    assert http is not None, place
    assert (http.requests, http.bytes_out, http.bytes_in) == (1, *size), place
    assert http.errors == int(record["status"] >= 400), place
    host, path = record["host"], record["request_path"].partition("?")[0]
    stream = headers["content-type"].partition(";")[0] in (
        "text/event-stream",
        "application/x-ndjson",
        "application/vnd.amazon.eventstream",
    )
    plain = {name: value for name, value in headers.items() if name != "content-encoding"}
    stated = read_usage(host=host, path=path, status=record["status"], headers=plain, body=_body(record), stream=stream)
    ai = [event.ai for event in events if event.ai is not None]
    if stated is None or provider_of(host, path) is None:
        assert all(group.quality in ("missing", "estimated") for group in ai), place
        assert not ai or record["status"] < 400, place
        return
    wanted = [part.words() for part in (stated, *stated.further)]
    assert {(group.model) for group in ai} >= {words["model"] for words in wanted if words.get("model")}, place
    for name in COUNTERS:
        assert sum(getattr(group, name) for group in ai) == sum(words.get(name, 0) for words in wanted), (place, name)
    assert {group.service_tier for group in ai} == {words.get("service_tier", "") for words in wanted}, place
    units = Counter[str]()
    for words in wanted:
        units.update(words.get("units", {}))
    found = Counter[str]()
    for group in ai:
        found.update(group.units)
    del found["requests"]
    assert found == units, place
