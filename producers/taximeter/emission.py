"""An emission: an event as the hook leaves it for the emitter's thread, which makes the `MeterEvent` of it.

The host's thread only makes the id, reads the clock and hands over plain values. Validation, redaction and encoding
happen later, on the emitter's thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from taximeter.attribution import Attribution
from taximeter.faults import Faults


class Emission(NamedTuple):
    """One event to be. The millisecond of `event_id` is that of `occurred_ns` (Unix time, nanoseconds)."""

    attribution: Attribution
    event_id: UUID
    occurred_ns: int
    own: Mapping[str, Any]


class Outlet(Protocol):
    """Where finished nodes go. The emitter is one; so is the meter that is switched off."""

    @property
    def faults(self) -> Faults:
        """Where hooks note what went wrong."""

    def offer(self, emissions: list[Emission]) -> None:
        """Take the emissions over, or drop and count them. Never raises; never waits beyond its bound."""
