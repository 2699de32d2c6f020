"""From a source to a shadow that has all of it: steps in their order, each of which may be repeated."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from taximeter_consumers.replay import bulk
from taximeter_consumers.replay.cuts import Cut, covers
from taximeter_consumers.replay.pace import Meter, Pace
from taximeter_consumers.shadow import build
from taximeter_consumers.shadow.carry import carry, missing
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from taximeter_consumers.replay.bulk import Plan, Stored
    from taximeter_consumers.replay.source import Source
    from taximeter_consumers.replay.topic_range import TopicRange
    from taximeter_consumers.shadow.database import Pair
    from taximeter_schemas.registry import Registry

_MISSING: Final = """
SELECT kafka_topic, kafka_log, kafka_partition, first_offset, last_offset, batch_id FROM ingest_batches
WHERE batch_id NOT IN (SELECT batch_id FROM {shadow}.stored_ingest_batches)
"""


@dataclass(frozen=True)
class Caught:
    """What was done: messages stored and rolled up. `lacking` are batches of the live ledger from before, which the
    source did not have; `copied` those that were taken from the live table instead."""

    stored: Stored
    rolled_up: int
    lacking: int = 0
    copied: int = 0


@dataclass(frozen=True)
class Reading:
    """What is read, how it is understood, how fast, and who is told."""

    source: Source
    log: str
    wanted: TopicRange
    registry: Registry
    pace: Pace | None = None
    meter: Meter = lambda _what, _total: nullcontext(lambda _done: None)

    def plan(self, pair: Pair) -> Plan:
        """What the shadow lacks of it."""
        return build.plan(pair, self.source, self.log, self.source.spans(self.wanted), self.registry)


def catch_up(pair: Pair, reading: Reading, *, copy_missing: bool = False) -> Caught:
    """Stores what the shadow lacks, and rolls all of it up. With `copy_missing` batches that the source does not have
    are copied from the live table. Raises what reading and storing raise; the same call goes on from there."""
    # Asked before the source where it ends: what is stored only now is no lack of it.
    before = {batch.batch_id for batch in missing(pair.live, pair.shadow)}
    todo = reading.plan(pair)
    with reading.meter("stored", todo.offsets) as told:
        target = bulk.Target(pair.shadow, reading.registry)
        stored = bulk.store(reading.source, todo, target, told, reading.pace)
    lacking = _lacking(pair, before)
    copied = 0
    if lacking and copy_missing:
        copied, lacking = len(lacking), set()
        carry(pair.live, pair.shadow)
    with reading.meter("rolled up", build.waiting(pair)) as told:
        rolled_up = build.roll_up(pair, told)
    return Caught(stored, rolled_up, len(lacking), copied)


def _lacking(pair: Pair, before: set[int]) -> set[int]:
    """Which of those batches the shadow lacks, apart from those whose offsets lie in batches that it has: of batches
    that overlap it has each offset once. A swap carries the others over."""
    found = [row for row in pair.live.rows(_MISSING.format(shadow=pair.shadow.database)) if row[-1] in before]
    there: dict[tuple[str, str], dict[int, list[Cut]]] = {}
    for topic, log in {(row[0], row[1]) for row in found}:
        there[topic, log] = bulk.known_cuts(pair.shadow, topic, log)
    return {
        batch_id
        for topic, log, partition, first, last, batch_id in found
        if not covers(there[topic, log].get(partition, ()), Cut(first, last))
    }


def require_all(pair: Pair, caught: Caught) -> None:
    """Raises Misconfigured where the shadow lacks batches that no source has brought."""
    if caught.lacking:
        raise Misconfigured(
            f"the live ledger has {caught.lacking:,} batches that the shadow {pair.name} has not, and the source"
            " neither: the topic does not reach back that far, or a range was chosen",
            mend="first replay an archive that has them into it, or take them from the live table: --copy-missing",
        )
