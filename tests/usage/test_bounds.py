"""Memory is bounded, and bodies that are too long to keep are read at their ends."""

from __future__ import annotations

import gzip
import json
import tracemalloc

from taximeter.usage import UsageReader
from taximeter.usage.streams.decoder import LONGEST, WHOLE
from taximeter.usage.streams.ends import at_the_ends

MIB = 1024 * 1024


def peak_of(reader: UsageReader, chunk: bytes, times: int) -> int:
    """The most memory that feeding a chunk so many times took, in bytes."""
    tracemalloc.start()
    for _ in range(times):
        reader.feed(chunk)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_a_long_stream_keeps_next_to_nothing() -> None:
    """Only the first and last events that may bear use, and the one at hand."""
    reader = UsageReader(host="api.openai.com", path="/v1/chat/completions", stream=True)
    event = b'data: {"choices":[{"delta":{"content":"' + b"x" * 2000 + b'"}}],"usage":{"prompt_tokens":1}}\n\n'
    assert peak_of(reader, event * 10, 1500) < MIB
    assert reader.finish() is not None


def test_an_endless_event_is_dropped() -> None:
    """Beyond the longest that is kept; the next event counts again."""
    reader = UsageReader(host="api.openai.com", path="/v1/chat/completions", stream=True)
    reader.feed(b"data: {")
    assert peak_of(reader, b"x" * MIB, LONGEST // MIB + 20) < 3 * LONGEST
    reader.feed(b'\n\ndata: {"choices":[],"model":"m","usage":{"prompt_tokens":5,"completion_tokens":2}}\n\n')
    usage = reader.finish()
    assert usage is not None
    assert usage.input_tokens == 5


def test_a_body_beyond_the_bound_is_read_at_its_end() -> None:
    """Embeddings: the use stands behind the vectors, and a `usage` inside them is not the object's own."""
    reader = UsageReader(host="api.openai.com", path="/v1/embeddings")
    reader.feed(b'{"object":"list","data":[{"embedding":[')
    assert peak_of(reader, b"0.123456789," * 90_000, WHOLE // MIB + 10) < 3 * WHOLE
    reader.feed(b'1],"usage":{"prompt_tokens":99}}],"model":"e","usage":{"prompt_tokens":7,"total_tokens":7}}\n')
    usage = reader.finish()
    assert usage is not None
    assert (usage.model, usage.input_tokens, usage.total_tokens) == ("e", 7, 7)


def test_a_body_beyond_the_bound_without_use_at_its_ends_is_none() -> None:
    """Nothing is guessed from its middle."""
    reader = UsageReader(host="api.openai.com", path="/v1/embeddings")
    reader.feed(b'{"data":[')
    for _ in range(WHOLE // MIB + 2):
        reader.feed(b'{"usage":{"prompt_tokens":9}},' * (MIB // 30))
    reader.feed(b"{}]}")
    assert reader.finish() is None
    ends = at_the_ends(b"", b'{"usage":{"prompt_tokens":9}},' * 4_000 + b'{"a":"' + b'"id":"' * 9_000)
    assert ends is None


def test_a_packed_bomb_is_undone_in_steps() -> None:
    """A megabyte of gzip that holds a gigabyte does not take a gigabyte."""
    bomb = gzip.compress(b'{"a":"' + b" " * (200 * MIB), 1)
    reader = UsageReader(headers={"content-encoding": "gzip"})
    assert peak_of(reader, bomb, 1) < 3 * WHOLE
    assert reader.finish() is None


def test_sound_is_not_kept() -> None:
    """What is no text is passed over."""
    reader = UsageReader(host="api.openai.com", path="/v1/audio/speech", headers={"content-type": "audio/mpeg"})
    assert peak_of(reader, b"\xff\xfb\x90" * 10_000, 500) < MIB
    assert reader.finish() is None


def test_finish_twice_is_none() -> None:
    """A response is counted once."""
    reader = UsageReader(host="api.openai.com", path="/v1/chat/completions")
    reader.feed(json.dumps({"choices": [], "usage": {"prompt_tokens": 1}}).encode())
    assert reader.finish() is not None
    assert reader.finish() is None
