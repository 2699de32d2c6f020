"""Forcing `include_usage` on OpenAI-style streams, and hiding the one chunk that it adds. Pure: bytes in, bytes out.

Only a complete line `data: {...}` with empty `choices` and a stated `usage` is hidden, with the blank line after it. A
line that may still become one is held until it is told apart, so the caller sees all other bytes, in their order.
"""

from __future__ import annotations

import json
import re

# Chunks that state usage are short; what grows longer is none, and is let go.
_LONGEST = 16_384
_STARTS = (b"data: {", b"data:{")
_SPEAKS = re.compile(rb'"choices"\s*:\s*\[\s*\{')


def with_include_usage(body: bytes) -> bytes | None:
    """The JSON body of a streaming request with `include_usage` added; None where it has nothing to add.

    A caller who says anything about `include_usage`, even false, is left alone.
    """
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(asked, dict) or asked.get("stream") is not True:
        return None
    options = asked.get("stream_options")
    if "stream_options" not in asked:
        # Everything else stays as the caller wrote it.
        end = body.rindex(b"}")
        return body[:end] + b',"stream_options":{"include_usage":true}' + body[end:]
    if options is not None and (not isinstance(options, dict) or "include_usage" in options):
        return None
    asked["stream_options"] = {**(options or {}), "include_usage": True}
    return json.dumps(asked, ensure_ascii=False, separators=(",", ":")).encode()


def is_usage_chunk(line: bytes) -> bool:
    """Whether a line of a stream is the chunk that `include_usage` adds."""
    if not line.startswith(b"data:") or b'"usage"' not in line:
        return False
    try:
        chunk = json.loads(line[5:])
    except (ValueError, RecursionError):
        return False
    return isinstance(chunk, dict) and chunk.get("choices") == [] and isinstance(chunk.get("usage"), dict)


class Hider:
    """Takes the bytes of a stream as they come and gives those for the caller. Holds at most one line."""

    def __init__(self) -> None:
        self.held = b""
        """Bytes of the caller's that may yet turn out to be ours."""
        self._left = b""
        self._at_start = True
        self._skip_blank = False
        self.hidden = 0
        """Bytes that were kept from the caller for good."""

    def feed(self, chunk: bytes) -> bytes:
        """What the caller may see now. Empty where all of it is hidden or held."""
        # Held until it is sorted: whatever happens in between, no byte of the caller's is lost.
        self.held = data = self.held + chunk
        seen, self._left, start = [], b"", 0
        while start < len(data):
            end = data.find(b"\n", start) + 1 or len(data)
            seen.append(self._line(data[start:end]))
            start = end
        self.held = self._left
        return b"".join(seen)

    def rest(self) -> bytes:
        """What was held when the stream ended."""
        if is_usage_chunk(self.held):
            self.hidden += len(self.held)
            self.held = b""
        held, self.held = self.held, b""
        return held

    def _line(self, line: bytes) -> bytes:
        ended = line.endswith(b"\n")
        if not self._at_start:
            self._at_start = ended
            return line
        if self._skip_blank:
            if line == b"\r":
                self._left = line
                return b""
            self._skip_blank = False
            if line in (b"\n", b"\r\n"):
                self.hidden += len(line)
                return b""
        if ended:
            if is_usage_chunk(line):
                self._skip_blank = True
                self.hidden += len(line)
                return b""
            return line
        if _may_become_one(line):
            self._left = line
            return b""
        self._at_start = False
        return line


def _may_become_one(line: bytes) -> bool:
    if any(start.startswith(line) for start in _STARTS):
        return True
    return line.startswith(_STARTS) and len(line) < _LONGEST and _SPEAKS.search(line) is None
