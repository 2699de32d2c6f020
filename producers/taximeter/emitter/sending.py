"""What the worker keeps of an event on its way, and what it counts."""

from __future__ import annotations

from dataclasses import dataclass


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
