"""What the sink knows of one partition, held against the log it reads."""

from __future__ import annotations

from confluent_kafka import Message
from hypothesis import given
from hypothesis import strategies as st

from taximeter_consumers.sink.batch import Batch, CutPolicy, covered_by
from taximeter_consumers.sink.intent import Intent, from_metadata
from taximeter_consumers.sink.partition import Partition

POLICY = CutPolicy(rows=10, bytes=10_000, age_seconds=1.0, parts_per_second=10.0)


def _record(offset: int) -> Message:
    return Message(topic="t", partition=0, offset=offset, value=b"v%d" % offset, timestamp=(2, 1_000 + offset))


def _cut(partition: Partition, now: float = 0.0, *, drain: bool = False, most: int = 100) -> Batch | None:
    return partition.cut(POLICY, now, partitions=1, most_in_flight=most, drain=drain)


@given(
    offsets=st.lists(st.integers(0, 400), unique=True, min_size=1, max_size=120).map(sorted),
    chunks=st.lists(st.integers(1, 15), min_size=1, max_size=20),
    finish=st.lists(st.integers(0, 5), max_size=40),
    crash_after=st.integers(0, 20),
)
def test_a_new_owner_cuts_the_announced_batches_again(
    offsets: list[int], chunks: list[int], finish: list[int], crash_after: int
) -> None:
    """Whatever was announced before a crash is cut again with the same offsets and the same content, gaps and all.

    Batches may finish in any order; nothing is committed past one that has not finished, and the batches of both owners
    together tile the log.
    """
    first_owner = Partition("t", 0, 0, ())
    position, metadata = first_owner.position()
    announced: list[Batch] = []
    stored: list[Batch] = []
    left = list(offsets)
    for step in range(crash_after):
        size = chunks[step % len(chunks)]
        taken, left = left[:size], left[size:]
        if taken:
            first_owner.offer([_record(offset) for offset in taken], now=float(step))
        while (batch := _cut(first_owner, now=step + 2.0)) is not None:
            announced.append(batch)
        if finish and announced:
            batch = announced[finish[step % len(finish)] % len(announced)]
            if batch not in stored:
                first_owner.stored(batch)
                stored.append(batch)
        position, metadata = first_owner.position()
    unfinished = list(first_owner.in_flight)

    second_owner = Partition("t", 0, position, from_metadata(metadata, position))
    again = [offset for offset in offsets if offset >= position]
    recut: list[Batch] = []
    for start in range(0, len(again), 7):
        second_owner.offer([_record(offset) for offset in again[start : start + 7]], now=0.0)
        while (batch := _cut(second_owner)) is not None:
            recut.append(batch)
    second_owner.reached(401)
    while (batch := _cut(second_owner, drain=True)) is not None:
        recut.append(batch)

    same = [(batch.first, batch.last, batch.content_hash, batch.batch_id) for batch in unfinished]
    assert [(batch.first, batch.last, batch.content_hash, batch.batch_id) for batch in recut][: len(same)] == same
    done = [batch for batch in stored if batch not in unfinished]
    assert sorted(offset for batch in [*done, *recut] for offset in batch.offsets) == offsets
    assert all(offset < position for batch in done for offset in batch.offsets)


def test_records_wait_for_company_but_not_longer_than_the_age() -> None:
    """A lone record is cut when it has waited for the age; a full batch at once."""
    partition = Partition("t", 0, 5, ())
    partition.offer([_record(5)], now=100.0)
    assert _cut(partition, now=100.5) is None
    batch = _cut(partition, now=101.0)
    assert batch is not None
    assert (batch.first, batch.last, batch.arrived_ms) == (5, 5, 1_005)
    partition.offer([_record(offset) for offset in range(6, 20)], now=101.0)
    full = _cut(partition, now=101.0)
    assert full is not None
    assert len(full.values) == POLICY.rows


def test_with_many_partitions_records_wait_longer() -> None:
    """Forty partitions at ten parts a second mean four seconds, however short the age is."""
    assert not POLICY.due(rows=1, size=1, waited_seconds=3.9, partitions=40)
    assert POLICY.due(rows=1, size=1, waited_seconds=4.0, partitions=40)


def test_no_more_batches_than_allowed_are_in_flight() -> None:
    """What is over the bound waits, and the position names the intents in order."""
    partition = Partition("t", 0, 0, ())
    partition.offer([_record(offset) for offset in range(40)], now=0.0)
    first, second = _cut(partition, most=2), _cut(partition, most=2)
    assert first is not None
    assert second is not None
    assert _cut(partition, most=2) is None
    partition.stored(second)
    offset, metadata = partition.position()
    assert offset == 0
    assert from_metadata(metadata, 0) == [first.intent(), second.intent()]
    partition.stored(first)
    assert partition.position() == (20, "")


def test_an_intended_batch_whose_end_holds_no_record_ends_with_the_log() -> None:
    """Transaction markers take offsets but are no records: the log's end tells that nothing more will come."""
    assert covered_by([3, 4], Intent(3, 6, ""), next_offset=5) is None
    assert covered_by([3, 4], Intent(3, 6, ""), next_offset=7) == 2


def test_at_end_does_not_depend_on_the_order_of_news() -> None:
    """A partition is at its end only when all records up to the end have been offered."""
    partition = Partition("t", 0, 0, ())
    assert not partition.at_end
    partition.offer([_record(0), _record(1)], now=0.0)
    partition.reached(2)
    assert partition.at_end
    partition.offer([_record(2)], now=0.0)
    assert partition.at_end  # as last seen; the next notice moves the end
    assert not partition.idle
