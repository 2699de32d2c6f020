"""Waiting for a condition, with an end."""

from __future__ import annotations

import time
from collections.abc import Callable

BEAT_SECONDS = 0.05


def wait_until(condition: Callable[[], bool], timeout: float) -> bool:
    """Look until the condition holds or `timeout` seconds have passed; the last answer."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(BEAT_SECONDS)
    return True
