"""Filling a shadow: the batches of a source by the sink's insert path, the rollups by ticks. Either may be killed and
called again: the shadow's own ledger says what is stored, its record of ticks what is rolled up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from taximeter_consumers.replay import bulk
from taximeter_consumers.rollups.batches import Bounds
from taximeter_consumers.rollups.tick import tick
from taximeter_consumers.shadow.database import follow_settings

if TYPE_CHECKING:
    from taximeter_consumers.replay.bulk import Plan
    from taximeter_consumers.replay.source import Source
    from taximeter_consumers.replay.topic_range import Span
    from taximeter_consumers.shadow.database import Pair
    from taximeter_schemas.registry import Registry

# Larger than a live tick's: nobody waits for the rows of a shadow one by one. Of batches no more: the server takes no
# parameter of more than 128 KiB.
BOUNDS: Final = Bounds(records=1_000_000)

_WAITING: Final = """
SELECT sum(records) FROM ingest_batches WHERE batch_id NOT IN (SELECT batch_id FROM stored_rolled_up_batches)
"""


def plan(pair: Pair, source: Source, log: str, spans: Sequence[Span], registry: Registry) -> Plan:
    """What of the source the shadow lacks, in the live ledger's batches, so that it is never ahead of that."""
    return bulk.plan(source, log, spans, pair.live, bulk.Target(pair.shadow, registry))


def waiting(pair: Pair) -> int:
    """How many messages of the shadow are not in its rollups."""
    return int(pair.shadow.scalar(_WAITING))


def roll_up(pair: Pair, on_progress: Callable[[int], None] = lambda _: None) -> int:
    """Ticks until the shadow's rollups have all of its events, by its prices. Returns how many messages they had."""
    follow_settings(pair)
    records = 0
    while (done := tick(pair.shadow, BOUNDS)).version is not None:
        records += done.records
        on_progress(records)
    return records
