"""One request and its answer, observed. A library's tap tells it what crosses the wire; it tells the node at the end.

It settles exactly once, whichever comes first: the answer's end, an error, a close before the end, or the garbage
collector. Bytes are those of the bodies, before content decoding; heads and the framing of chunks are not counted. No
method raises: after a fault of ours the call goes on unobserved. What is open when the process dies is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING
from weakref import WeakSet

from taximeter.current import current_node
from taximeter.faults import Faults, guarded
from taximeter.instrument.hide import Hider
from taximeter.instrument.policy import Asked, Policy, is_retrieval
from taximeter.instrument.reading import Reading
from taximeter.outcome import outcome_of
from taximeter_schemas.words import Outcome

if TYPE_CHECKING:
    from taximeter.node import Node
    from taximeter.nothing import NullNode

_BODILESS = frozenset({204, 205, 304})
_hiding: WeakSet[Exchange] = WeakSet()


def any_hiding() -> bool:
    """Whether a caller is reading a stream of which a part may be held: its tap is needed to the end."""
    return len(_hiding) > 0


class Exchange:
    """Made at the request, in the context of the request: the node that is current there gets the use."""

    __slots__ = (
        "__weakref__", "_asked", "_bytes_in", "_bytes_out", "_length", "_node", "_open", "_policy", "_reading",
        "_status", "forced", "hider",
    )  # fmt: skip

    def __init__(self, policy: Policy, asked: Asked) -> None:
        self._policy = policy
        self._asked = asked
        self._node: Node | NullNode = current_node()
        # Taking the one item is atomic: of a caller's thread and the garbage collector, one settles.
        self._open: list[None] = [None]
        self._bytes_out = 0
        self._bytes_in = 0
        self._length: int | None = None
        self._status: int | None = None
        provider = policy.provider(asked)
        self._reading = None if provider is None else Reading(policy, asked, provider)
        self.forced = False
        """Whether the request was made to ask for its usage."""
        self.hider: Hider | None = None
        """What hides the chunk that we caused from the caller, where there may be one."""

    @property
    def faults(self) -> Faults:
        """Where our own mistakes are noted."""
        return self._policy.faults

    @property
    def bytes_out(self) -> int:
        """Bytes of the request's body so far."""
        return self._bytes_out

    @property
    def settled(self) -> bool:
        """Whether the node has been told."""
        return not self._open

    @guarded
    def sending(self, chunk: bytes | bytearray | memoryview | str) -> None:
        """A piece of the request's body, as it is sent."""
        data = chunk.encode() if isinstance(chunk, str) else bytes(chunk)
        self._bytes_out += len(data)
        if self._reading is not None and self._open:
            self._reading.sending(data)

    @guarded
    def answered(self, status: int, headers: Iterable[tuple[str, str]], *, decoded: bool = False) -> None:
        """The head of the answer. `decoded` says that the library feeds us bytes whose encoding it has undone."""
        self._status = status
        known: dict[str, str] = {}
        for name, value in headers:
            known.setdefault(name.lower(), value)
        if decoded:
            known.pop("content-encoding", None)
        stated = known.get("content-length", "")
        self._length = int(stated) if stated.isdecimal() else None
        if self._reading is not None:
            self._reading.answered(status, known)
        if self.forced and status == 200 and _is_plain_stream(known):
            self.hider = Hider()
            _hiding.add(self)
        if self._asked.method.upper() == "HEAD" or status in _BODILESS or status < 200 or self._length == 0:
            self._settle(Outcome.SUCCESS)

    @guarded
    def feed(self, chunk: bytes | bytearray | memoryview) -> None:
        """Bytes of the answer's body, before content decoding."""
        if not self._open:
            return
        self._bytes_in += len(chunk)
        if self._reading is not None:
            self._reading.feed(bytes(chunk))

    def see(self, chunk: bytes) -> bytes:
        """As `feed`; gives what the caller may see of it: all, unless we caused a chunk that is to be hidden."""
        self.feed(chunk)
        hider = self.hider
        if hider is None:
            return chunk
        try:
            return hider.feed(chunk)
        except Exception as error:  # noqa: BLE001 - the caller's bytes come before our tidiness
            return self._unhidden(hider, error)

    def rest(self) -> bytes:
        """At the end of the answer: what was held from the caller and is the caller's."""
        hider = self.hider
        if hider is None:
            return b""
        try:
            return hider.rest()
        except Exception as error:  # noqa: BLE001 - the caller's bytes come before our tidiness
            return self._unhidden(hider, error)

    def _unhidden(self, hider: Hider, error: Exception) -> bytes:
        self.faults.note("Exchange.see", error)
        self.hider = None
        return hider.held

    @guarded
    def arrived(self, total: int) -> None:
        """How many bytes of the answer's body have crossed the wire, where `feed` was given decoded ones."""
        self._bytes_in = total

    @guarded
    def complete(self) -> None:
        """The answer is at its end."""
        self._settle(Outcome.SUCCESS)

    @guarded
    def failed(self, error: BaseException) -> None:
        """No answer came, or it broke off."""
        self._settle(outcome_of(error))

    @guarded
    def closed(self) -> None:
        """Nobody will read further: it was closed before its end, or let go of."""
        self._settle(Outcome.CANCELLED)

    def _settle(self, outcome: Outcome) -> None:
        if not self._open:
            return
        try:
            self._open.pop()
        except IndexError:
            return
        _hiding.discard(self)
        reading, self._reading = self._reading, None
        whole = outcome is Outcome.SUCCESS or (self._length is not None and self._bytes_in >= self._length > 0)
        whole = whole or (reading is not None and reading.over)
        broken = outcome in (Outcome.ERROR, Outcome.TIMEOUT) and not whole
        failed = self._status is None or self._status >= 400 or broken
        self._node.http(requests=1, bytes_out=self._bytes_out, bytes_in=self._bytes_in, errors=int(failed))
        if reading is None:
            return
        records = reading.words(self._status, sent=self._bytes_out > 0, whole=whole)
        # An answer may be retrieved many times, and its call may have stated the use itself: by its id it counts once.
        record = self._node.ai_claimed if is_retrieval(self._asked) else self._node.ai_tapped
        for words in records:
            record(**words)
        if records and not whole:
            # The record of a call has no place for its outcome; the node's debug texts do.
            self._node.describe(provider_metadata={"call_outcome": outcome.value})


def _is_plain_stream(headers: Mapping[str, str]) -> bool:
    encoding = headers.get("content-encoding", "identity").strip().lower()
    return headers.get("content-type", "").startswith("text/event-stream") and encoding in ("", "identity")
