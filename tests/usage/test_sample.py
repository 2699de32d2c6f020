"""Recorded responses with counts that another reader took from them."""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import pytest
import zstandard
from tests.usage.conftest import body_of, call_of

from taximeter.usage import Usage, UsageReader, read_usage

FIELDS = {
    "input_tokens": "input_tokens", "output_tokens": "output_tokens", "total_tokens": "total_tokens",
    "cached_tokens": "cache_read_tokens", "cache_write_tokens": "cache_write_tokens",
    "reasoning_tokens": "reasoning_tokens",
}  # fmt: skip
DETAILS = ("cache_write_5m_tokens", "cache_write_1h_tokens", "search_units", "tool_use_prompt_tokens",
           "input_audio_tokens", "output_audio_tokens")  # fmt: skip
COUNTS = (*FIELDS.values(), "quality")


def differences(usage: Usage | None, row: dict[str, Any]) -> dict[str, tuple[object, object]]:
    """What was read beside what is expected, where they differ."""
    if row["kind"] != "usage":
        return {} if usage is None else {"usage": (usage, None)}
    if usage is None:
        return {"usage": (None, row["expected"])}
    expected = row["expected"]
    pairs = {name: (getattr(usage, ours), expected.get(name)) for name, ours in FIELDS.items() if name in expected}
    pairs |= {name: (usage.details.get(name), expected[name]) for name in DETAILS if name in expected}
    if expected["model"] is not None:
        pairs["model"] = (usage.model, expected["model"])
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def test_every_recorded_response_is_read_right(sample: list[dict[str, Any]]) -> None:
    """Each expected field of each response, and nothing from those that state no use or are errors."""
    wrong = {
        place: found
        for place, row in enumerate(sample)
        if (found := differences(read_usage(**call_of(row), body=body_of(row)), row))
    }
    assert wrong == {}


def test_no_recorded_body_is_unreadable_or_partial(sample: list[dict[str, Any]]) -> None:
    """They are whole, and so is what is read from them."""
    read = [read_usage(**call_of(row), body=body_of(row)) for row in sample]
    assert {usage.quality for usage in read if usage is not None} == {"reported"}


def test_the_shape_of_a_body_is_enough(sample: list[dict[str, Any]]) -> None:
    """Without provider, host and path the counts are the same."""
    for row in sample:
        known = read_usage(**call_of(row), body=body_of(row))
        unknown = read_usage(headers=row["response_headers"], status=row["status"], body=body_of(row))
        assert counts(known) == counts(unknown), row["source"]


def counts(usage: Usage | None) -> list[object] | None:
    """The counters alone."""
    return None if usage is None else [getattr(usage, name) for name in COUNTS]


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": lambda body: gzip.compress(body, 1),
    "deflate": lambda body: zlib.compress(body, 1),
    "br": lambda body: bytes(brotli.compress(body, quality=1)),
    "zstd": lambda body: zstandard.ZstdCompressor(level=1).compress(body),
}


@pytest.mark.parametrize("coding", CODINGS)
def test_pieces_of_any_length_and_coding_read_as_the_whole(sample: list[dict[str, Any]], coding: str) -> None:
    """The reader gets what crosses the wire, cut anywhere."""
    cut = random.Random(coding)
    for row in sample:
        call, body = call_of(row), body_of(row)
        packed = CODINGS[coding](body)
        reader = UsageReader(**{**call, "headers": {**call["headers"], "Content-Encoding": coding}})
        at = 0
        while at < len(packed):
            size = cut.choice((1, 2, 5, 40, 700, 9000))
            reader.feed(packed[at : at + size])
            at += size
        assert reader.finish() == read_usage(**call, body=body), row["source"]


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "zstd"])
def test_a_coding_that_was_undone_already_is_no_harm(sample: list[dict[str, Any]], coding: str) -> None:
    """Proxies and recorders leave the header of a body that is plain by now."""
    for row in sample:
        if "response_base64" not in row:
            call = call_of(row)
            stale = {**call, "headers": {**call["headers"], "content-encoding": coding}}
            assert read_usage(**stale, body=body_of(row)) == read_usage(**call, body=body_of(row)), row["source"]
