"""What is guessed where nobody stated a use, and what is not."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from taximeter.instrument import estimate
from taximeter.instrument.policy import Asked, Policy
from taximeter.instrument.reading import Reading
from taximeter.instrument.texts import answered_texts, asked_texts

CHAT = Asked("POST", "api.openai.com", None, "/v1/chat/completions")
REQUEST = json.dumps(
    {
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "abcd"},
            {
                "role": "user",
                "content": [{"type": "text", "text": "efgh"}, {"type": "image_url", "image_url": {"url": "x" * 99}}],
            },
        ],
    }
).encode()


def _words(
    body: bytes, *, kind: str = "application/json", asked: Asked = CHAT, request: bytes = REQUEST
) -> dict[str, object]:
    reading = Reading(Policy(), asked, "openai")
    reading.sending(request)
    reading.answered(200, {"content-type": kind})
    reading.feed(body)
    (words,) = reading.words(200, sent=True, whole=True)
    return words


def test_a_chat_is_a_quarter_of_its_characters() -> None:
    """Without a vocabulary, four characters are a token; images are no characters; reasoning is not guessed."""
    body = json.dumps(
        {"choices": [{"message": {"content": "12345678", "reasoning_content": "hidden thoughts"}}]}
    ).encode()
    assert _words(body) == {
        "provider": "openai",
        "model": "gpt-4o",
        "quality": "estimated",
        "input_tokens": 2,
        "output_tokens": 2,
    }


def test_a_stream_is_counted_by_its_pieces() -> None:
    """Deltas add up, over whatever cuts."""
    body = b"".join(
        b'data: {"choices":[{"index":0,"delta":{"content":"' + piece + b'"}}]}\n\n'
        for piece in (b"123", b"45678", b"9")
    )
    assert _words(body + b"data: [DONE]\n\n", kind="text/event-stream")["output_tokens"] == 3


def test_typed_events_are_counted_once() -> None:
    """The whole text at the end of a stream of typed events is the deltas once more."""
    events = [
        {"type": "response.output_text.delta", "delta": "12345678"},
        {"type": "response.reasoning_summary_text.delta", "delta": "hm"},
        {"type": "response.output_text.done", "text": "12345678"},
    ]
    assert [list(answered_texts(event)) for event in events] == [["12345678"], [], []]


def test_an_embedding_has_no_output() -> None:
    """Of an embedding only the input is guessed, and its output not made a zero."""
    asked = CHAT._replace(path="/v1/embeddings")
    words = _words(b'{"data":[]}', asked=asked, request=b'{"model":"m","input":["abcd","efgh"]}')
    assert (words["input_tokens"], words["usage_type"]) == (2, "embedding")
    assert "output_tokens" not in words


def test_what_cannot_be_seen_is_missing() -> None:
    """Binary requests and answers are not guessed at."""
    speech = CHAT._replace(path="/v1/audio/speech")
    assert _words(b"ID3\x00", kind="audio/mpeg", asked=speech)["quality"] == "missing"
    assert _words(b'{"text":"a"}', request=b"--form\r\n\xff")["quality"] == "missing"
    assert "input_tokens" not in _words(b"\xff\xfe", kind="application/json")


def test_nothing_is_guessed_when_told_so() -> None:
    """With `estimate=False` the use stays missing."""
    reading = Reading(Policy(estimate=False), CHAT, "openai")
    reading.sending(REQUEST)
    reading.answered(200, {"content-type": "application/json"})
    reading.feed(b'{"choices":[{"message":{"content":"hi"}}]}')
    assert [words["quality"] for words in reading.words(200, sent=True, whole=True)] == ["missing"]


def test_texts_of_a_deep_document_end() -> None:
    """A document of great depth is read to a bound."""
    deep: object = "x"
    for _ in range(500):
        deep = {"content": deep}
    assert list(asked_texts(deep)) == []


def test_a_vocabulary_is_used_only_if_it_lies_here(tmp_path: Path) -> None:
    """Without a cached file nothing is loaded and nothing fetched; a file of other content is not believed."""
    code = (
        "import socket, sys\n"
        "def refuse(*a, **k): print('fetched'); raise OSError\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "from taximeter.instrument import estimate\n"
        "thread = estimate.load_vocabulary(); thread.join()\n"
        "print(estimate._loaded, estimate.tokens_of(['abcde']), estimate.load_vocabulary())\n"
    )
    import tiktoken_ext.openai_public as public

    for name in public.ENCODING_CONSTRUCTORS:
        (tmp_path / hashlib.sha1(name.encode()).hexdigest()).write_bytes(b"not it")
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"TIKTOKEN_CACHE_DIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["{} 2 None"]


def test_a_long_text_is_judged_by_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a vocabulary, at most some tens of thousands of characters are encoded; the rest is taken to be alike."""
    monkeypatch.setitem(estimate._loaded, "o200k_base", lambda text: len(text) // 2)
    assert estimate.tokens_of(["x" * 1_000_000], "gpt-4o") == 500_000
    assert estimate.tokens_of([], "gpt-4o") == 0
