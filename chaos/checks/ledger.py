"""The ledger against the log: ranges tile every partition, and what was consumed was stored or dead-lettered."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from chaos.evidence import Evidence, Range
from chaos.former_logs import APART


def ranges_tile(evidence: Evidence) -> list[str]:
    """The ranges of a partition follow each other without gap or overlap, from its first record to its last.

    Of a former log every record is in a range; there may be more of them: what a sink reads of the new log before it
    hears of it is entered under the old one, and read again."""
    offsets: dict[int, list[int]] = defaultdict(list)
    for record in evidence.log:
        offsets[record.partition].append(record.offset)
    now = [one for one in evidence.ranges if one.partition < APART]
    former = {number: held for number, held in offsets.items() if number >= APART}
    return [
        *tile_problems(now, {number: held for number, held in offsets.items() if number < APART}),
        *(
            f"partition {number} of a former log: {offset} is in no range"
            for number, held in former.items()
            for offset in held
            if not any(one.partition == number and one.first <= offset <= one.last for one in evidence.ranges)
        ),
    ]


def tile_problems(ranges: Iterable[Range], offsets: Mapping[int, Sequence[int]]) -> list[str]:
    """What keeps the ranges from tiling the log, whose `offsets` by partition are all that hold a record."""
    by_partition: dict[int, list[Range]] = defaultdict(list)
    for one in ranges:
        by_partition[one.partition].append(one)
    problems: list[str] = []
    for partition in sorted({*by_partition, *offsets}):
        placed = sorted(by_partition[partition], key=lambda one: (one.first, one.last))
        problems += [f"partition {partition}: {told}" for told in _problems(placed, sorted(offsets.get(partition, ())))]
    return problems


def _problems(ranges: Sequence[Range], offsets: Sequence[int]) -> Iterable[str]:
    reached = -1
    for one in ranges:
        name = f"{one.first}..{one.last}"
        skipped = [offset for offset in offsets if reached < offset < one.first]
        if skipped:
            yield f"gap before {name}: {len(skipped)} records from {skipped[0]} are in no range"
        if one.first <= reached:
            yield f"{name} overlaps what ends at {reached}"
        inside = sum(one.first <= offset <= one.last for offset in offsets)
        if inside != one.records:
            yield f"{name} says {one.records} records where the log has {inside}"
        if one.stored + one.dead_lettered != one.records:
            yield f"{name}: {one.records} records are not {one.stored} stored and {one.dead_lettered} dead letters"
        reached = max(reached, one.last)
    left = [offset for offset in offsets if offset > reached]
    if left:
        yield f"the last {len(left)} records, from {left[0]}, are in no range"


def batches_hold_what_they_say(evidence: Evidence) -> list[str]:
    """Each batch of the ledger has as many rows as it says, and every row a batch that is in the ledger."""
    said: Counter[int] = Counter()
    for one in evidence.ranges:
        said[one.batch_id] += one.stored
    held = evidence.copies.by_batch
    problems = [f"rows of batch {batch}, which is not in the ledger" for batch in held if batch not in said]
    if not evidence.copies.merged:
        problems += [
            f"batch {batch} says {rows} rows and has {held.get(batch, 0)}"
            for batch, rows in said.items()
            if held.get(batch, 0) != rows
        ]
    return problems


def no_sink_copies(evidence: Evidence) -> list[str]:
    """No record of the log was stored twice: copies in storage are those that producers sent."""
    copies = evidence.copies
    return [f"{copies.rows - copies.places} physical copies by the sink"] if copies.rows != copies.places else []


def all_rolled_up(evidence: Evidence) -> list[str]:
    """No batch waits for a tick."""
    waiting = evidence.unrecorded_batches
    return [f"{waiting} batches are not rolled up"] if waiting else []
