"""When Python looks for garbage: not while records stream through.

The collector would look at every record in hand again and again, a tenth of all the sink's work, for nothing: records
form no cycles. So it is switched off, and called when the log has nothing to read, or when it has not been for long.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_IDLE_SECONDS = 30.0
_BUSY_SECONDS = 600.0


@contextmanager
def swept_by_hand() -> Iterator[None]:
    """Switches the collector off, and on again at the end if it was on."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class Sweeper:
    """Calls the collector at good moments."""

    def __init__(self, now: float) -> None:
        self._swept_at = now

    def look(self, now: float, *, idle: bool) -> None:
        """To be told after each poll whether it brought nothing; `now` is a monotonic clock in seconds."""
        if now - self._swept_at >= (_IDLE_SECONDS if idle else _BUSY_SECONDS):
            gc.collect()
            self._swept_at = now
