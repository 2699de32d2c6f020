"""Readers of what providers state: their words become ours."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from taximeter.testing import RecordedMeter
from taximeter.usage import from_anthropic, from_openai
from taximeter_schemas.event import Quality


def test_openai_chat_includes_cache_and_reasoning() -> None:
    """Cached tokens are part of the prompt, reasoning is part of the completion."""
    usage = {
        "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 64}, "completion_tokens_details": {"reasoning_tokens": 30},
    }  # fmt: skip
    assert from_openai(usage) == {
        "input_tokens": 100, "output_tokens": 50, "cache_read_tokens": 64, "reasoning_tokens": 30, "total_tokens": 150,
        "quality": Quality.REPORTED,
    }  # fmt: skip


def test_openai_responses_have_other_names() -> None:
    """As an object of the SDK as well as a mapping."""
    usage = SimpleNamespace(
        input_tokens=7, output_tokens=3, total_tokens=10,
        input_tokens_details=SimpleNamespace(cached_tokens=2), output_tokens_details=None,
    )  # fmt: skip
    read = from_openai(usage)
    assert (read["input_tokens"], read["cache_read_tokens"], read["reasoning_tokens"]) == (7, 2, 0)


def test_openai_embeddings_have_no_output() -> None:
    """Only a prompt is stated."""
    assert from_openai({"prompt_tokens": 9, "total_tokens": 9})["total_tokens"] == 9


def test_anthropic_leaves_the_cache_out_and_we_put_it_in() -> None:
    """Input is fresh tokens plus cache reads plus cache writes."""
    usage = {
        "input_tokens": 10, "output_tokens": 5, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 1000,
    }  # fmt: skip
    assert from_anthropic(usage) == {
        "input_tokens": 1110, "output_tokens": 5, "cache_read_tokens": 1000, "cache_write_tokens": 100,
        "total_tokens": 1115, "quality": Quality.REPORTED,
    }  # fmt: skip


def test_units_come_along_where_they_are_stated() -> None:
    """Sound and pictures of OpenAI; hours of cache, searches and the tier of Anthropic. No zeros."""
    openai = {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"audio_tokens": 3},
              "completion_tokens_details": {"audio_tokens": 0, "image_tokens": 2}}  # fmt: skip
    assert from_openai(openai)["units"] == {"input_audio_tokens": 3, "output_image_tokens": 2}
    anthropic = {
        "input_tokens": 9, "output_tokens": 4, "cache_creation_input_tokens": 5, "service_tier": "priority",
        "cache_creation": {"ephemeral_1h_input_tokens": 5}, "server_tool_use": {"web_search_requests": 1},
    }  # fmt: skip
    read = from_anthropic(anthropic)
    assert (read["service_tier"], read["units"]) == ("priority", {"cache_write_1h_tokens": 5, "web_searches": 1})


@pytest.mark.parametrize("usage", [None, {}, 7, "x", {"prompt_tokens": None}, {"input_tokens": "9"}, object()])
def test_use_that_is_not_stated_is_missing(usage: object, recorded: RecordedMeter) -> None:
    """Never a zero that means unknown."""
    assert from_openai(usage) == from_anthropic(usage) == {"quality": Quality.MISSING}
    with recorded.meter.run() as run, run.node("n") as node:
        node.ai(provider="openai", model="m", **from_openai(usage))
    event = recorded.only()
    assert event.ai is not None
    assert event.ai.quality is Quality.MISSING
