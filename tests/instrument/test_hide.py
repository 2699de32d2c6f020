"""Asking for usage, and hiding what that adds, however the stream is split."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from taximeter.instrument.hide import Hider, with_include_usage

CHUNK = b'data: {"id":"c1","object":"chunk","choices":[{"delta":{"content":"hi \\"usage\\" "}}],"usage":null}'
USAGE = (
    b'data: {"id":"c1","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}'
)
FILTERED = b'data: {"choices":[],"prompt_filter_results":[{"prompt_index":0}],"usage":null}'
DONE = b"data: [DONE]"
LINES = st.lists(
    st.sampled_from(
        [CHUNK, USAGE, FILTERED, DONE, b"", b": ping", b"event: x", b"data: {", b"dat", b"data:", b"\r", b"d\r"]
    )
)


def _hidden(stream: bytes, cuts: list[int]) -> tuple[bytes, Hider]:
    hider = Hider()
    places = sorted({cut % (len(stream) + 1) for cut in cuts})
    pieces = [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]
    return b"".join(hider.feed(piece) for piece in pieces) + hider.rest(), hider


def _model(stream: bytes) -> bytes:
    """The stream without each usage line and the blank line after it."""
    lines = stream.split(b"\n")
    kept: list[bytes] = []
    skip = False
    for number, line in enumerate(lines):
        ended = number < len(lines) - 1
        whole = line + (b"\n" if ended else b"")
        if line.rstrip(b"\r") == USAGE:
            skip = ended
        elif skip and ended and line in (b"", b"\r"):
            skip = False
        else:
            skip = False
            kept.append(whole)
    return b"".join(kept)


@given(LINES, st.sampled_from([b"\n", b"\r\n"]), st.lists(st.integers(0, 5_000), max_size=40), st.booleans())
def test_only_the_added_chunk_is_hidden_wherever_the_stream_is_cut(
    lines: list[bytes], end: bytes, cuts: list[int], ended: bool
) -> None:
    """All other bytes reach the caller in their order, and what is hidden is counted."""
    stream = end.join(lines) + (end if ended else b"")
    seen, hider = _hidden(stream, cuts)
    assert seen == _model(stream)
    assert hider.hidden == len(stream) - len(seen)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=20))
def test_other_bytes_pass_whole(stream: bytes, cuts: list[int]) -> None:
    """Bytes that are no such stream are untouched."""
    assert _hidden(stream, cuts)[0] == stream


def test_whole_chunks_are_not_held() -> None:
    """A chunk of whole lines reaches the caller at once; so does one that already shows that it speaks."""
    hider = Hider()
    assert hider.feed(CHUNK + b"\n\n") == CHUNK + b"\n\n"
    assert hider.feed(CHUNK[:80]) == CHUNK[:80]
    assert hider.feed(CHUNK[80:] + b"\n\n" + DONE) == CHUNK[80:] + b"\n\n" + DONE


def test_include_usage_is_added_only_where_nothing_was_said_of_it() -> None:
    """The rest of the body stays as it was written; a caller who chose is left alone; so are other bodies."""
    body = b'{"model": "gpt-4o",  "stream": true, "messages": [{"content": "\xc3\xa9}"}]}\n'
    asked = with_include_usage(body)
    assert asked is not None
    assert asked.startswith(body.rstrip(b"}\n"))
    assert json.loads(asked) == {**json.loads(body), "stream_options": {"include_usage": True}}
    merged = with_include_usage(b'{"stream":true,"stream_options":{"include_obfuscation":false}}')
    assert merged is not None
    assert json.loads(merged)["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    for left in (
        b'{"stream":false}',
        b'{"model":"m"}',
        b'{"stream":true,"stream_options":{"include_usage":false}}',
        b'{"stream":true,"stream_options":7}',
        b"[]",
        b"{",
        b"",
        b"[" * 100_000,
    ):
        assert with_include_usage(left) is None
