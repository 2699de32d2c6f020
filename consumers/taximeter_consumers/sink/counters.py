"""What a sink has done and where it stands, for its last words, metrics and tests."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class SinkCounters:
    """What the sink has done since it started."""

    records: int = 0
    batches: int = 0
    bundles: int = 0
    dead_lettered: int = 0
    pauses: int = 0
    rebalances: int = 0
    memberships: int = 0
    paused: int = 0
    """Partitions that are not read now, for want of memory or because they are stopped."""
    stopped: int = 0
    held_bytes: int = 0
    """What the records in hand take in memory, about."""
    lag: dict[int, tuple[int, float]] = field(default_factory=dict)
    """By partition, a second ago at most: records that are not stored, and the age in seconds of the oldest in hand."""
