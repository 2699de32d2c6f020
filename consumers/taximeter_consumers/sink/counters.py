"""What a sink has done, for its last words and for tests."""

from __future__ import annotations

from dataclasses import dataclass


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
