"""A clean end: SIGTERM and Ctrl-C set an event that long work looks at. A second one ends the process at once."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


class StopSign(threading.Event):
    """An event that knows when it was last looked at: a loop asks at every turn whether to stop, so it is its beat."""

    def __init__(self) -> None:
        super().__init__()
        self._looked_at = time.time()
        self._waiting = False

    @property
    def looked_at(self) -> float:
        """Unix seconds when somebody last looked; now, while somebody waits for it."""
        return time.time() if self._waiting else self._looked_at

    def is_set(self) -> bool:
        """Whether to stop."""
        self._looked_at = time.time()
        return super().is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits for it, as long."""
        self._waiting = True
        try:
            return super().wait(timeout)
        finally:
            self._waiting = False
            self._looked_at = time.time()


def stop_on_signals() -> StopSign:
    """The event that the first signal sets."""
    stop = StopSign()

    def heard(number: int, _: FrameType | None) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, heard)
    return stop
