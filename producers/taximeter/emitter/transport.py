"""What a transport must do, and the one that keeps everything in memory.

A transport is used by the emitter's thread alone, except for `abandon`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from taximeter_schemas.errors import Full, Retryable, TaximeterError

OnDelivery = Callable[[TaximeterError | None], None]
"""Called once per value sent: None when it is stored; Poison when it never can be; any other error to send it again."""


class Transport(Protocol):
    """Takes framed events towards Kafka."""

    def send(self, key: bytes, value: bytes, on_delivery: OnDelivery) -> None:
        """Take one value over, without waiting. Raises Full (poll and try again) or another Retryable."""

    def poll(self, timeout: float) -> None:
        """Serve delivery reports, waiting at most `timeout` seconds for the first."""

    def flush(self, timeout: float) -> None:
        """Send without lingering and serve reports until all are in, for at most `timeout` seconds."""

    def close(self) -> None:
        """Let go of everything at once; what was not reported is not reported any more."""

    def abandon(self) -> None:
        """Forget, in a forked child, what belongs to the parent: neither use it nor destroy it."""


class MemoryTransport:
    """For tests: keeps what was sent. Its fields make it fail on demand."""

    def __init__(self) -> None:
        self.stored: list[tuple[bytes, bytes]] = []
        self.sends = 0
        self.closed = False
        # Each send takes one answer from here, then all succeed.
        self.answers: deque[TaximeterError | None] = deque()
        self.full = False  # send raises Full
        self.down = False  # every delivery fails
        self.silent = False  # deliveries are not reported
        self._reports: deque[tuple[OnDelivery, TaximeterError | None]] = deque()

    def send(self, key: bytes, value: bytes, on_delivery: OnDelivery) -> None:
        """Keep the value, unless told to fail."""
        if self.full:
            raise Full("the memory transport was told to be full")
        self.sends += 1
        answer = self.answers.popleft() if self.answers else None
        if self.down:
            answer = Retryable("the memory transport was told to be down")
        if answer is None and not self.silent:
            self.stored.append((key, value))
        self._reports.append((on_delivery, answer))

    def poll(self, timeout: float) -> None:  # noqa: ARG002 - the protocol's; nothing here takes time
        """Report what was sent."""
        while self._reports and not self.silent:
            on_delivery, answer = self._reports.popleft()
            on_delivery(answer)

    def flush(self, timeout: float) -> None:
        """Report what was sent."""
        self.poll(timeout)

    def close(self) -> None:
        """Forget the reports."""
        self._reports.clear()
        self.closed = True

    def abandon(self) -> None:
        """Forget the parent's."""
        self._reports.clear()
        self.stored = []
        self.sends = 0
