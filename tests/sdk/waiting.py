"""Waiting for a condition of another thread, where nothing can be joined or flushed."""

from __future__ import annotations

import time
from collections.abc import Callable

_PATIENCE = 60.0


def until(holds: Callable[[], bool]) -> None:
    """Returns when it holds. Raises AssertionError after a minute, which no working test waits for."""
    deadline = time.monotonic() + _PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "what was waited for did not come"
        time.sleep(0.002)
