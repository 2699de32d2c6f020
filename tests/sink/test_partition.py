"""What the sink knows of one partition, held against the log it reads."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.sink.records import message

from taximeter_consumers.sink.batch import RECORD_OVERHEAD, Batch
from taximeter_consumers.sink.bundle import Held
from taximeter_consumers.sink.intent import Slice
from taximeter_consumers.sink.partition import Partition

_OFFSETS = st.lists(st.integers(0, 400), unique=True, min_size=1, max_size=100).map(sorted)


def _offer(partition: Partition, offsets: list[int], now: float = 0.0) -> None:
    if offsets:
        partition.offer([message(partition.number, offset) for offset in offsets], now)


@given(_OFFSETS, st.lists(st.tuples(st.integers(0, 15), st.integers(0, 9), st.integers(0, 5)), max_size=40))
def test_batches_follow_the_log_and_land_in_its_order(offsets: list[int], steps: list[tuple[int, int, int]]) -> None:
    """Against a model of lists: batches tile what was read; the commit stands before the oldest that is not stored.

    However large the chunks that are offered and taken, and in whatever order batches are stored.
    """
    partition = Partition("t", 0, 0)
    left, waiting, flying, landed = list(offsets), list[int](), list[tuple[Batch, bool]](), list[Batch]()
    for read, rows, which in steps:
        taken, left = left[:read], left[read:]
        _offer(partition, taken)
        waiting += taken
        if 0 < rows <= len(waiting):
            batch = partition.take(rows, now=1.0)
            assert list(batch.offsets) == waiting[:rows]
            del waiting[:rows]
            flying.append((batch, False))
        if flying:
            batch, _ = flying[which % len(flying)]
            flying = [(one, stored or one is batch) for one, stored in flying]
            out = [] if (batch, True) not in flying[:1] else [batch]
            while flying and flying[0][1]:
                landed.append(flying.pop(0)[0])
                out = out if landed[-1] in out else [*out, landed[-1]]
            if batch not in landed[: -len(out) or None]:
                assert partition.stored(batch) == out
        assert list(partition.in_flight) == [one for one, _ in flying]
        assert partition.commit_at == (landed[-1].last + 1 if landed else 0)
        assert partition.first_waiting == (waiting[0] if waiting else None)
        held = partition.held()
        assert (held.records if held else 0) == len(waiting)
        values = [b"0/%d" % offset for offset in waiting] + [one for batch, _ in flying for one in batch.values if one]
        assert partition.memory == sum(map(len, values)) + RECORD_OVERHEAD * len(values)


def test_a_record_waits_since_it_came() -> None:
    """What waits is counted in records, bytes and time; after a cut the rest waits anew."""
    partition = Partition("t", 3, 5)
    assert partition.held() is None
    _offer(partition, [5], now=100.0)
    _offer(partition, [6, 8], now=101.0)
    assert partition.held() == Held(3, records=3, bytes=9, since=100.0)
    batch = partition.take(2, now=102.0)
    assert (batch.first, batch.last, batch.slice, batch.arrived_ms) == (5, 6, Slice(3, 5, 6), 1_005)
    assert partition.held() == Held(3, records=1, bytes=3, since=102.0)


@given(_OFFSETS, st.integers(0, 400), st.integers(1, 50), st.integers(1, 20))
def test_an_announced_slice_is_taken_again_when_nothing_more_of_it_can_come(
    offsets: list[int], first: int, length: int, chunk: int
) -> None:
    """With its records or none, gaps and all; until then nothing else is cut, afterwards what follows is."""
    announced = Slice(0, first, first + length - 1)
    other = Slice(1, 0, 9)
    partition = Partition("t", 0, first, [(announced, other)])
    log = [offset for offset in offsets if offset >= first]
    while log and not partition.has_read(announced):
        assert partition.rebuilding
        assert partition.held() is None
        _offer(partition, log[:chunk])
        del log[:chunk]
    partition.reached(max(partition.next_offset, 401))
    if not partition.has_read(announced):
        assert partition.next_offset <= announced.last  # the log is shorter than what was announced
        return
    assert not partition.has_read(Slice(0, first, first + length))
    assert partition.announced == ((announced, other),)
    batch = partition.take_again(announced, now=0.0)
    assert (list(batch.offsets) if batch else []) == [one for one in offsets if first <= one <= announced.last]
    assert partition.announced == ()
    assert not partition.rebuilding


def test_a_slice_whose_end_holds_no_record_ends_with_the_log() -> None:
    """Transaction markers take offsets but are no records: the log's end tells that nothing more will come."""
    partition = Partition("t", 0, 3, [(Slice(0, 3, 6),)])
    _offer(partition, [3, 4])
    assert not partition.has_read(Slice(0, 3, 6))
    partition.reached(7)
    assert partition.has_read(Slice(0, 3, 6))
    batch = partition.take_again(Slice(0, 3, 6), now=0.0)
    assert batch is not None
    assert batch.slice == Slice(0, 3, 4)


def test_at_end_does_not_depend_on_the_order_of_news() -> None:
    """A partition is at its end only when all records up to the end have been offered."""
    partition = Partition("t", 0, 0)
    assert not partition.at_end
    _offer(partition, [0, 1])
    partition.reached(2)
    assert partition.at_end
    _offer(partition, [2])
    assert partition.at_end  # as last seen; the next notice moves the end
    assert not partition.idle


def test_what_retention_took_is_skipped_and_what_was_read_stays() -> None:
    """The commit moves past what is gone only when nothing older is in hand; so with a slice that was announced."""
    idle = Partition("t", 0, 5)
    idle.skip_to(50)
    assert (idle.commit_at, idle.next_offset, idle.at_end) == (50, 50, False)
    busy = Partition("t", 0, 5, [(Slice(0, 5, 40),)])
    _offer(busy, [5, 6])
    busy.skip_to(50)
    assert (busy.commit_at, busy.next_offset) == (5, 50)
    batch = busy.take_again(Slice(0, 5, 40), now=0.0)
    assert batch is not None
    assert busy.stored(batch) == [batch]
    assert busy.commit_at == 7


def test_a_stopped_partition_gives_nothing() -> None:
    """After a flood of bad records what waits is kept and not cut."""
    partition = Partition("t", 0, 0)
    _offer(partition, [0, 1])
    partition.stopped = True
    assert partition.held() is None


def test_announced_bundles_can_be_forgotten() -> None:
    """They are cut afresh where they do not fit into memory."""
    partition = Partition("t", 0, 0, [(Slice(0, 0, 9),)])
    _offer(partition, [0, 1])
    partition.forget_intents()
    assert not partition.rebuilding
    assert partition.held() is not None
