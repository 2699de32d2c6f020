"""What a quota service has done and where it stands, for its log, its last words, metrics and tests."""

from __future__ import annotations

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
    facts_age_seconds: float | None = None
    """Since ClickHouse last answered; None before it has."""
    complete_age_seconds: float | None = None
    """How old the last moment is before which every event in Kafka is known to be counted."""
