"""A clean end: SIGTERM and Ctrl-C set an event that long work looks at. A second one ends the process at once."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


def stop_on_signals() -> threading.Event:
    """The event that the first signal sets."""
    stop = threading.Event()

    def heard(number: int, _: FrameType | None) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, heard)
    return stop
