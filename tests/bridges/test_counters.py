"""The tolerant reader of token counts, held against the shapes that frameworks and vendors use."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter.bridges.counters import counters_of, whole

SHAPES: list[tuple[str, object, dict[str, Any]]] = [
    (
        "OpenAI chat",
        {
            "prompt_tokens": 100,
            "completion_tokens": 20,
            "total_tokens": 120,
            "prompt_tokens_details": {"cached_tokens": 64},
            "completion_tokens_details": {"reasoning_tokens": 8},
        },
        {
            "input_tokens": 100,
            "output_tokens": 20,
            "total_tokens": 120,
            "cache_read_tokens": 64,
            "reasoning_tokens": 8,
        },
    ),
    (
        "Anthropic: the input leaves the cache out",
        {
            "input_tokens": 10,
            "output_tokens": 5,
            "cache_read_input_tokens": 100,
            "cache_creation_input_tokens": 3,
        },
        {"input_tokens": 113, "output_tokens": 5, "cache_read_tokens": 100, "cache_write_tokens": 3},
    ),
    (
        "Anthropic with a small cache share",
        SimpleNamespace(input_tokens=1000, output_tokens=5, cache_read_input_tokens=10, cache_creation_input_tokens=0),
        {"input_tokens": 1010, "output_tokens": 5, "cache_read_tokens": 10, "cache_write_tokens": 0},
    ),
    (
        "Bedrock converse",
        {
            "inputTokens": 10,
            "outputTokens": 5,
            "totalTokens": 115,
            "cacheReadInputTokens": 100,
            "cacheWriteInputTokens": 0,
        },
        {
            "input_tokens": 110,
            "output_tokens": 5,
            "total_tokens": 115,
            "cache_read_tokens": 100,
            "cache_write_tokens": 0,
        },
    ),
    (
        "LangChain: the input includes the cache",
        {
            "input_tokens": 350,
            "output_tokens": 240,
            "total_tokens": 590,
            "input_token_details": {"cache_creation": 200, "cache_read": 100},
            "output_token_details": {"reasoning": 200},
        },
        {
            "input_tokens": 350,
            "output_tokens": 240,
            "total_tokens": 590,
            "cache_read_tokens": 100,
            "cache_write_tokens": 200,
            "reasoning_tokens": 200,
        },
    ),
    (
        "Gemini: thoughts are apart",
        {"promptTokenCount": 7, "candidatesTokenCount": 3, "thoughtsTokenCount": 5, "totalTokenCount": 15},
        {"input_tokens": 7, "output_tokens": 8, "reasoning_tokens": 5, "total_tokens": 15},
    ),
    (
        "the Vercel AI SDK",
        {"inputTokens": 9, "outputTokens": 2, "cachedInputTokens": 4},
        {"input_tokens": 9, "output_tokens": 2, "cache_read_tokens": 4},
    ),
    (
        "OpenAI chat with sound",
        {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"audio_tokens": 3, "image_tokens": 0},
         "completion_tokens_details": {"audio_tokens": 2}},
        {"input_tokens": 9, "output_tokens": 4, "units": {"input_audio_tokens": 3, "output_audio_tokens": 2}},
    ),
    (
        "Anthropic with a tier, an hour of cache and searches",
        {"input_tokens": 1, "output_tokens": 5, "cache_creation_input_tokens": 8, "service_tier": "priority",
         "cache_creation": {"ephemeral_1h_input_tokens": 6}, "server_tool_use": {"web_search_requests": 2}},
        {"input_tokens": 9, "output_tokens": 5, "cache_write_tokens": 8, "service_tier": "priority",
         "units": {"cache_write_1h_tokens": 6, "web_searches": 2}},
    ),
    ("nothing", None, {}),
    ("no mapping", 7, {}),
    ("wrong kinds", {"input_tokens": "7", "output_tokens": True, "total_tokens": -1}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("usage", "counters"), [shape[1:] for shape in SHAPES], ids=[shape[0] for shape in SHAPES])
def test_a_known_shape_becomes_our_counters(usage: object, counters: dict[str, int]) -> None:
    """Input includes the cache, output reasoning, and what is not stated is left out."""
    assert counters_of(usage) == counters


def test_an_object_that_raises_when_it_is_read_states_nothing() -> None:
    """A foreign object's property may do what it likes."""

    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

    assert counters_of(Broken()) == {}


@given(
    st.dictionaries(
        st.sampled_from(["input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "total_tokens"]),
        st.integers(0, 10**12),
    )
)
def test_the_input_is_never_less_than_the_cache_in_it(found: dict[str, int]) -> None:
    """Whatever convention was followed, what comes out can be priced: no fresh part is negative, no count is lost."""
    counters = whole(found)
    cached = counters.get("cache_read_tokens", 0) + counters.get("cache_write_tokens", 0)
    if "input_tokens" in found:
        assert counters["input_tokens"] >= max(found["input_tokens"], cached)
    assert set(counters) == set(found)
