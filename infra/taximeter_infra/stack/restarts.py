"""When to start a server again: a pure decision over the times at which it died."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class RestartPolicy:
    """Delays (seconds) double up to the longest; more than `limit` deaths within `window` seconds end it."""

    first_delay: float = 0.2
    longest_delay: float = 5.0
    limit: int = 5
    window: float = 60.0


def restart_delay(policy: RestartPolicy, deaths: Sequence[float], now: float) -> float | None:
    """Seconds to wait before the next start, or None when the server died too often lately.

    `deaths` are the times of all deaths so far, the latest included, on the clock of `now`.
    """
    recent = sum(1 for death in deaths if now - death <= policy.window)
    if recent > policy.limit:
        return None
    doubled: float = policy.first_delay * 2.0 ** max(0, recent - 1)
    return min(policy.longest_delay, doubled)
