"""What the worker keeps of an event on its way, what it works with, and what it counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from taximeter.emitter.transport import Transport
from taximeter.emitter.waiting import WaitingRoom
from taximeter.faults import Faults
from taximeter.spool import Spool
from taximeter_schemas.registry import Registry

_LONGEST_BACKOFF = 30.0


@dataclass(slots=True)
class Sending:
    """One encoded event on its way."""

    number: int
    key: bytes
    value: bytes
    since: float
    tries: int = 0


@dataclass(slots=True)
class Progress:
    """What the worker counted; only its thread writes."""

    encoded: int = 0
    produced: int = 0
    acknowledged: int = 0
    failed: int = 0
    retried: int = 0
    spilled: int = 0

    @property
    def moves(self) -> int:
        """Grows with everything that gets somewhere."""
        return self.encoded + self.produced + self.acknowledged + self.spilled


@dataclass(frozen=True, slots=True)
class Parts:
    """What a worker works with."""

    room: WaitingRoom
    transport: Transport
    registry: Registry
    faults: Faults
    redaction: bool = True
    spool: Spool | None = None
    clock: Callable[[], float] = field(default=time.monotonic)


def backoff(tries: int) -> float:
    """Seconds to wait before sending again what has failed `tries` times."""
    return float(min(0.05 * 2 ** min(tries, 16), _LONGEST_BACKOFF))
