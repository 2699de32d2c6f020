"""What a quota service has done and where it stands, for its log, its last words, metrics and tests."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from decimal import Decimal


@dataclass
class QuotaCounters:
    """Counts since it started; then how things stand now, over the partitions that it owns."""

    commands: int = 0
    poison: int = 0
    """Records that were no commands."""
    kinds: dict[str, int] = field(default_factory=dict)
    """Commands by what they ask."""
    replies: dict[str, int] = field(default_factory=dict)
    """Answers by status. A command that was decided again after a crash is answered, and counted, again."""
    unsent: int = 0
    """Answers that Kafka did not take; who waited for them asks again."""
    facts: int = 0
    quotes: int = 0
    unavailable: int = 0
    """Questions that ClickHouse did not answer in time."""
    alerts: int = 0
    checkpoints: int = 0
    checkpoint_seconds: float = 0.0
    """How long all of them took together, from the loop's hand to the broker's word."""
    records_written: int = 0
    aborted: int = 0
    """Checkpoints that were rolled back and tried again."""
    waits: int = 0
    """How often decisions waited, because too many had no checkpoint."""
    rebalances: int = 0
    memberships: int = 0
    missing: int = 0
    """Offsets that were deleted before they were read."""
    partitions: int = 0
    lag: int = 0
    """Commands in Kafka that are not decided yet."""
    unsaved: int = 0
    """Decisions that are not in a checkpoint yet."""
    parked: int = 0
    """Reservations that wait for facts."""
    holds: int = 0
    leases: int = 0
    leased: dict[str, Decimal] = field(default_factory=dict)
    """Meter to what leases hold: the bound on what may be overshot while nobody can be asked."""
    answered_at: float = field(default_factory=time.monotonic)
    """The monotonic moment at which ClickHouse last answered a tick, of whichever membership; at first the start."""
    complete_age_seconds: float | None = None
    """How old the last moment is before which every event in Kafka is known to be counted."""

    @property
    def facts_age_seconds(self) -> float:
        """Since ClickHouse last answered, or since the start where it never has; it grows while nobody counts."""
        return round(time.monotonic() - self.answered_at, 3)
