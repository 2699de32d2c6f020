"""Whatever a body holds, reading it disturbs nobody: no exception, and no counter that is not a count."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.usage.conftest import body_of, call_of

from taximeter.usage import Usage, UsageReader, provider_of, read_usage
from taximeter.usage.counts import LARGEST, UNREADABLE
from taximeter.usage.table import table

COUNTERS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
            "total_tokens", "audio_ms", "characters", "images")  # fmt: skip
HOSTS = st.sampled_from([None, "", "api.openai.com", "api.anthropic.com", "bedrock-runtime.us-east-1.amazonaws.com",
                         "generativelanguage.googleapis.com", "localhost:11434", "\x00:é"])  # fmt: skip
PATHS = st.sampled_from([None, "", "/v1/chat/completions", "/v1/images/edits", "/model/%ff%00/invoke", "/v1/messages",
                         "/v1beta/models/g:streamGenerateContent", "/audio/transcriptions"])  # fmt: skip
CODINGS = st.sampled_from([None, "gzip", "deflate", "br", "zstd", "x", "gzip, br"])
KEYS = st.sampled_from(sorted({
    step for shape in table().shapes
    for paths in (shape.roots, shape.signs, *(sums for sums in shape.counts.values()))
    for found in paths for step in (found if found and isinstance(found[0], str) else found[0] if found else ())
    if isinstance(step, str)
} | {"choices", "iterations", "data", "model", "id", "content", "type"}))  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.integers(0, 9) | st.floats() | st.text(max_size=5)
DOCUMENTS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=30
)


def sound(usage: Usage | None) -> bool:
    """Whether each counter is a count or unknown."""
    if usage is None:
        return True
    values = [getattr(usage, name) for name in COUNTERS] + list(usage.details.values())
    assert usage.words()["quality"]
    return all(value is None or (type(value) is int and 0 <= value <= 4 * LARGEST) for value in values) and all(
        sound(part) for part in usage.further
    )


@given(st.binary(max_size=400), HOSTS, PATHS, CODINGS, st.booleans())
def test_any_bytes(body: bytes, host: str | None, path: str | None, coding: str | None, stream: bool) -> None:
    """Under any host, path and coding."""
    headers = {} if coding is None else {"Content-Encoding": coding}
    assert sound(read_usage(host=host, path=path, headers=headers, body=body, stream=stream))
    assert provider_of(host, path) is None or isinstance(provider_of(host, path), str)


@given(DOCUMENTS, HOSTS, PATHS, st.booleans(), st.sampled_from(["{}", "data: {}\n\n", "{}\n{}", "[{}]"]))
@settings(max_examples=300)
def test_any_document_of_the_known_words(
    document: object, host: str | None, path: str | None, stream: bool, framing: str
) -> None:
    """With the keys of the table in any nesting, and any values."""
    text = framing.replace("{}", json.dumps(document))
    assert sound(read_usage(host=host, path=path, body=text.encode(), stream=stream))


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_any_damage_to_a_recorded_body(sample: list[dict[str, Any]], data: st.DataObject) -> None:
    """Cut, with bytes turned over, with numbers replaced; complete or not; in two pieces."""
    row = data.draw(st.sampled_from(sample))
    body = bytearray(body_of(row)[:30_000])
    for _ in range(data.draw(st.integers(0, 6))):
        if body:
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    reader = UsageReader(**call_of(row))
    reader.feed(bytes(body[:cut]))
    if data.draw(st.booleans()):
        reader.feed(bytes(body[cut:]))
    assert sound(reader.finish(complete=data.draw(st.booleans())))


def test_what_cannot_be_read_is_tallied() -> None:
    """A body that bears use and is cut, and a nesting that no parser follows."""
    before = UNREADABLE.count
    assert read_usage(body=b'{"choices": [], "usage": {"prompt_tokens": 5') is None
    assert read_usage(body=b'{"usage": {"x": ' + b"[" * 100_000) is None
    assert UNREADABLE.count == before + 2


def test_a_foreign_mapping_of_headers_may_do_what_it_likes() -> None:
    """Lists, bytes, and one that raises."""

    class Raising(dict[str, str]):
        def items(self) -> Any:
            raise RuntimeError

    body = b'{"choices": [], "usage": {"prompt_tokens": 5}}'
    given: tuple[Any, ...] = (Raising(a="b"), {b"Content-Type": [b"x"]}, {"a": None})
    for headers in given:
        usage = read_usage(host="api.openai.com", path="/v1/chat/completions", headers=headers, body=body)
        assert usage is not None
