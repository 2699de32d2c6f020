"""The texts of one answer, counted as they pass: event by event of a stream, or at the end of a document.

Memory is bounded: an answer that is longer than a few megabytes is not counted. It also tells when a stream has said
its last word, after which a caller may leave the rest unread.
"""

from __future__ import annotations

from collections.abc import Iterator

from taximeter.instrument.estimate import tokens_of
from taximeter.instrument.texts import MOST_BYTES, answered_texts, document_of
from taximeter.usage.unpack import Unpacking

_LAST = (b"[DONE]", b"message_stop", b"response.completed", b"response.failed", b"response.incomplete")
_EVENTS = (b"data:", b"event:", b"id:", b": ")
_LONGEST_LAST = max(map(len, _LAST))


class AnswerTexts:
    """Made with the head of an answer, fed with its bytes."""

    def __init__(self, encoding: str, *, stream: bool, estimate: bool) -> None:
        self._unpacking = Unpacking(encoding, self._take)
        self._stream = stream
        self._counting = estimate
        self._kept = b""
        self._tail = b""
        self._pieces: list[str] = []
        self._size = 0
        self._seen = False
        self.over = False
        """Whether the stream has said its last word."""

    def feed(self, chunk: bytes) -> None:
        """Bytes as the headers describe them."""
        if not self.over and (self._counting or self._stream or not self._seen):
            self._unpacking.feed(chunk)

    def tokens(self, model: str) -> int | None:
        """Of all texts so far; None where they could not be seen."""
        self._unpacking.end()
        if not self._counting or not self._seen:
            return None
        documents = list(_documents(self._kept)) if self._stream else [document_of(self._kept)]
        if documents == [None]:
            return None
        pieces = self._pieces + [text for document in documents for text in answered_texts(document)]
        self._stop()
        return tokens_of(pieces, model)

    def _take(self, seen: bytes) -> None:
        if not seen:
            return
        if not self._seen:
            # Some gateways call a stream JSON.
            self._seen, self._stream = True, self._stream or seen.lstrip().startswith(_EVENTS)
        if self._counting:
            self._kept += seen
            if self._stream:
                self._take_lines()
            elif len(self._kept) > MOST_BYTES:
                self._stop()
        if self._stream:
            near = self._tail + seen
            self.over = any(mark in near for mark in _LAST)
            self._tail = near[-_LONGEST_LAST:]

    def _take_lines(self) -> None:
        complete, feed, self._kept = self._kept.rpartition(b"\n")
        for document in _documents(complete) if feed else ():
            if isinstance(document, dict) and isinstance(document.get("usage"), dict):
                # It is stated: nothing has to be guessed.
                self._stop()
                return
            for text in answered_texts(document):
                self._pieces.append(text)
                self._size += len(text)
        if self._size + len(self._kept) > MOST_BYTES:
            self._stop()

    def _stop(self) -> None:
        self._counting = False
        self._kept, self._pieces = b"", []


def _documents(lines: bytes) -> Iterator[object]:
    for line in lines.split(b"\n"):
        text = line.removeprefix(b"data:").strip()
        if text.startswith(b"{"):
            yield document_of(text)
