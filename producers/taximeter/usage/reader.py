"""Reads what an HTTP response says was used, from its bytes as they cross the wire.

It runs on the host's threads beside their own reading: it skips what cannot bear use unparsed, keeps a bounded part of
the body, and never raises. A body that states no use gives None; what could not be read is tallied in `UNREADABLE`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from taximeter.usage.counts import UNREADABLE
from taximeter.usage.fold import Fold
from taximeter.usage.providers import Route, route
from taximeter.usage.result import Usage
from taximeter.usage.streams.array import Items
from taximeter.usage.streams.body import Body
from taximeter.usage.streams.choice import Silence, choose
from taximeter.usage.streams.decoder import Decoder
from taximeter.usage.streams.lines import Lines
from taximeter.usage.streams.sse import Events
from taximeter.usage.unpack import Unpacking
from taximeter_schemas.words import UsageType

_ERROR = 400
_PADDING = b" \t\r\n\xef\xbb\xbf"
"""What some send before a body, for minutes, to keep the connection open; and the mark of UTF-8."""

_KEPT = 8
"""How many events that may bear use are kept from the beginning of a stream, and how many from its end."""

_LARGE = 256 * 1024
"""A document of more bytes is read at once and not kept."""

_FIRST = 12
"""Bytes that tell how a body is framed."""


def read_usage(  # noqa: PLR0913 - all are keywords, and each is known apart from the others
    *,
    provider: str | None = None,
    host: str | None = None,
    path: str | None = None,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    body: bytes,
    stream: bool = False,
) -> Usage | None:
    """What a whole response states as used, or None where it states nothing. Never raises.

    `body` is as it crossed the wire: its Content-Encoding is undone by `headers`. Without `provider`, `host` and `path`
    the body's own shape decides.
    """
    reader = UsageReader(provider=provider, host=host, path=path, status=status, headers=headers, stream=stream)
    reader.feed(body)
    return reader.finish()


class UsageReader:
    """The same for a body that comes in pieces. Not safe across threads: a response is read by one at a time."""

    def __init__(
        self,
        *,
        provider: str | None = None,
        host: str | None = None,
        path: str | None = None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
    ) -> None:
        self._failed = status >= _ERROR if isinstance(status, int) else False
        self._headers = _plain(headers)
        self._stream = bool(stream)
        self._first = b""
        self._decoder: Decoder | None = None
        self._dead = False
        try:
            self._route = route(provider, host, path)
        except Exception:  # noqa: BLE001 - whatever a host is, it must not disturb the caller
            self._route = Route(None)
        self._dead = self._route.silent
        self._fold = Fold(self._route)
        self._early: list[bytes] = []
        self._late: deque[bytes] = deque(maxlen=_KEPT)
        self._unpacking = Unpacking(self._headers.get("content-encoding", ""), self._take)

    def feed(self, chunk: bytes) -> None:
        """Take bytes as they crossed the wire. Never raises."""
        if self._dead:
            return
        try:
            self._unpacking.feed(bytes(chunk))
        except Exception:  # noqa: BLE001 - no body may disturb the host, whatever it holds
            self._give_up()

    def finish(self, complete: bool = True) -> Usage | None:
        """What was stated, once the body ended; `complete=False` if it was cut short. Never raises."""
        if self._dead:
            return None
        try:
            self._unpacking.end()
            self._start()
            if self._decoder is not None:
                self._add(self._decoder.end())
            self._flush()
            return self._fold.usage({} if self._failed else self._headers, self._streamed(), complete)
        except Exception:  # noqa: BLE001 - no body may disturb the host, whatever it holds
            self._give_up()
            return None
        finally:
            self._dead = True

    def _take(self, chunk: bytes) -> None:
        if self._decoder is None:
            self._first = (self._first + chunk).lstrip(_PADDING)
            if len(self._first) >= _FIRST:
                self._start()
            return
        self._add(self._decoder.feed(chunk))

    def _start(self) -> None:
        if self._decoder is None and self._first:
            first, self._first = self._first, b""
            vectors = self._route.usage_type == UsageType.EMBEDDING
            self._decoder = choose(first, self._headers.get("content-type", ""), self._stream, vectors)
            self._add(self._decoder.feed(first))

    def _add(self, documents: Iterable[bytes]) -> None:
        """Keep the first and the last few unparsed: what is stated in between, the last ones state again."""
        for document in documents:
            if len(document) > _LARGE:
                self._flush()
                self._fold.add(document)
            elif len(self._early) < _KEPT:
                self._early.append(document)
            else:
                self._late.append(document)

    def _flush(self) -> None:
        """Read what was kept, in its order."""
        for document in (*self._early, *self._late):
            self._fold.add(document)
        self._early.clear()
        self._late.clear()

    def _streamed(self) -> bool:
        """Whether the body came as a stream that could have been cut before its last word."""
        decoder = self._decoder
        if decoder is None or isinstance(decoder, Body | Silence):
            return False
        if isinstance(decoder, Events):
            return not decoder.done
        if isinstance(decoder, Lines):
            return decoder.lines > 1
        return not isinstance(decoder, Items) or self._stream

    def _give_up(self) -> None:
        UNREADABLE.add()
        self._dead = True


def _plain(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Headers by lower-case name. Values that are no text, or lists, are taken as far as they are text."""
    plain: dict[str, str] = {}
    try:
        for name, value in (headers or {}).items():
            plain[_text(name).lower()] = _text(value)
    except Exception:  # noqa: BLE001 - a foreign mapping may do whatever it likes
        UNREADABLE.add()
    return plain


def _text(value: object) -> str:
    if isinstance(value, list | tuple) and value:
        value = value[0]
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value if isinstance(value, str) else ""
