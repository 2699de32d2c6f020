"""A response that is made in the background counts when it is retrieved, once, however often that is asked for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.instrument.loopback import Answer, Loopback

import taximeter
from taximeter.instrument import instrument
from taximeter.testing import RecordedMeter

_ID = "resp_0123456789abcdef0123456789abcdef"
_BEGUN = {"id": _ID, "object": "response", "status": "queued", "model": "gpt-4o", "usage": None}
_USAGE = {"input_tokens": 10, "output_tokens": 3, "total_tokens": 13}
_DONE = _BEGUN | {"status": "completed", "usage": _USAGE}
_JSON = {"content-type": "application/json"}


def _answer(body: dict[str, Any]) -> Answer:
    return Answer([json.dumps(body).encode()], headers=_JSON)


def test_a_background_response_counts_when_it_is_retrieved(server: Loopback, recorded: RecordedMeter) -> None:
    """Not at its beginning, and not again at each look."""
    instrument(recorded.meter, providers={"127.0.0.1": "openai"})
    server.say(_answer(_BEGUN), _answer(_BEGUN), _answer(_DONE), _answer(_DONE))
    with recorded.meter.run() as run:
        with run.node("ask"):
            httpx.post(server.url("/v1/responses"), json={"model": "gpt-4o", "input": "hi", "background": True})
        with run.node("poll"):
            for _ in range(2):
                httpx.get(server.url(f"/v1/responses/{_ID}"))
        with run.node("look again"):
            httpx.get(server.url(f"/v1/responses/{_ID}"))
    nodes = {name: [event.ai for event in events if event.ai] for name, events in recorded.by_node().items()}
    assert nodes["ask"] == nodes["look again"] == []
    (ai,) = nodes["poll"]
    assert (ai.input_tokens, ai.output_tokens, ai.response_id) == (10, 3, _ID)


def test_a_response_that_stated_its_use_is_not_counted_again(server: Loopback, recorded: RecordedMeter) -> None:
    """When it is retrieved later."""
    instrument(recorded.meter, providers={"127.0.0.1": "openai"})
    server.say(_answer(_DONE), _answer(_DONE))
    with recorded.meter.run() as run, run.node("n"):
        httpx.post(server.url("/v1/responses"), json={"model": "gpt-4o", "input": "hi"})
        httpx.get(server.url(f"/v1/responses/{_ID}"))
    (ai,) = [event.ai for event in recorded.events if event.ai]
    assert (ai.input_tokens, ai.output_tokens) == (10, 3)


def test_the_examples_of_the_page_run(recorded: RecordedMeter, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/instrumentation.md, as it stands, with a meter in memory for the environment's."""
    monkeypatch.setattr(taximeter.Meter, "from_environment", lambda: recorded.meter)
    page = Path(__file__).parents[2] / "docs" / "instrumentation.md"
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 2
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)
