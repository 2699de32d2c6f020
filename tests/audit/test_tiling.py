"""Whether ranges tile a log: held against sets of offsets, with every kind of damage planted."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from taximeter_consumers.audit.offset_set import OffsetSet
from taximeter_consumers.audit.reread import joined
from taximeter_consumers.audit.tiling import Entry, Stretch, Tiling, tile

LOG_END = 10_000


def entry(first: int, last: int, batch_id: int = 0, dead: int = 0) -> Entry:
    """A batch whose every offset holds a record."""
    records = last - first + 1
    return Entry(first, last, batch_id or first + 1, f"{first:x}-{last:x}", records, records - dead, dead, 1_000)


def tiled(entries: list[Entry], *, begin: int = 0, end: int | None = None, log_end: int = LOG_END) -> Tiling:
    """The tiling of batches in any order."""
    ordered = sorted(entries, key=lambda one: (one.first, one.last, one.batch_id))
    return tile(ordered, begin=begin, end=end, log_end=log_end)


@st.composite
def tiles(draw: st.DrawFn, least: int = 1) -> list[Entry]:
    """Batches that follow each other from offset 0 on."""
    lengths = draw(st.lists(st.integers(1, 40), min_size=least, max_size=12))
    made, at = [], 0
    for number, length in enumerate(lengths):
        made.append(entry(at, at + length - 1, number + 1))
        at += length
    return made


def offsets(stretches: list[Stretch]) -> set[int]:
    """All offsets of stretches."""
    return {offset for stretch in stretches for offset in range(stretch.first, stretch.last + 1)}


@given(tiles())
def test_batches_that_follow_each_other_tile(entries: list[Entry]) -> None:
    """No gap, no overlap, nothing beyond; the sums are those of the batches."""
    found = tiled(entries, end=entries[-1].last + 1)
    assert (found.gaps, found.overlaps, found.beyond, found.wrong) == ([], 0, [], [])
    assert (found.covered_to, found.records) == (entries[-1].last + 1, sum(one.records for one in entries))


@given(tiles(least=2), st.data())
def test_a_batch_that_is_missing_is_a_gap(entries: list[Entry], data: st.DataObject) -> None:
    """Exactly its offsets, also at the beginning and right below the committed offset."""
    gone = data.draw(st.sampled_from(entries))
    found = tiled([one for one in entries if one is not gone], end=entries[-1].last + 1)
    assert found.gaps == [gone.stretch]
    assert found.overlaps == 0


@given(tiles(), st.data())
def test_a_batch_over_others_is_an_overlap(entries: list[Entry], data: st.DataObject) -> None:
    """Whatever it covers is told, and is no gap."""
    end = entries[-1].last + 1
    first = data.draw(st.integers(0, end - 1))
    planted = entry(first, data.draw(st.integers(first, end - 1)), batch_id=99)
    found = tiled([*entries, planted], end=end)
    assert found.overlaps >= 1
    assert found.gaps == []
    assert offsets([overlap.stretch for overlap in found.named_overlaps]) == offsets([planted.stretch])


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 30)), max_size=25), st.integers(0, 260))
def test_any_ranges_agree_with_sets_of_offsets(drawn: list[tuple[int, int]], end: int) -> None:
    """Gaps are the offsets below the end that nobody covers; overlaps those that two cover."""
    entries = [entry(first, first + length - 1, number + 1) for number, (first, length) in enumerate(drawn)]
    found = tiled(entries, end=end)
    counted = [one for one in entries if one.first < end]
    covers: dict[int, int] = {}
    for one in counted:
        for offset in range(one.first, one.last + 1):
            covers[offset] = covers.get(offset, 0) + 1
    assert found.covered_to == max(covers, default=-1) + 1
    below = set(range(max(end, found.covered_to)))
    assert offsets(found.gaps) == below - covers.keys()
    assert offsets([overlap.stretch for overlap in found.named_overlaps]) == {
        offset for offset, times in covers.items() if times > 1
    }
    assert found.ahead == len(entries) - len(counted)


@given(tiles(least=2), st.data())
def test_what_lies_above_the_committed_offset_is_in_flight(entries: list[Entry], data: st.DataObject) -> None:
    """Holes and batches there are neither gaps nor tiles."""
    done = data.draw(st.integers(1, len(entries) - 1))
    ahead = entries[done + 1 :]
    found = tiled([*entries[:done], *ahead], end=entries[done].first)
    assert (found.gaps, found.overlaps, found.batches, found.ahead) == ([], 0, done, len(ahead))


@given(tiles(), st.integers(1, 40))
def test_a_batch_beyond_the_logs_end_is_told(entries: list[Entry], length: int) -> None:
    """It is of another log, whether the group has committed it or not."""
    end = entries[-1].last + 1
    planted = entry(end, end + length - 1, batch_id=99)
    for committed in (end, end + length):
        assert tiled([*entries, planted], end=committed, log_end=end).beyond == [planted]


@given(tiles(least=2), st.data())
def test_what_lies_before_the_beginning_is_left_out(entries: list[Entry], data: st.DataObject) -> None:
    """Where an audit begins at the log's beginning, older batches and older gaps do not count."""
    kept = data.draw(st.integers(1, len(entries) - 1))
    found = tiled(entries[kept:], begin=entries[kept].first, end=entries[-1].last + 1)
    assert found.gaps == []
    assert tiled(entries, begin=entries[kept].first, end=entries[-1].last + 1).older == kept


def test_without_a_committed_offset_the_ledgers_end_counts() -> None:
    """Gaps within it are told; what comes after it is unknown."""
    found = tiled([entry(0, 9), entry(20, 29)], end=None)
    assert (found.gaps, found.covered_to) == ([Stretch(10, 19)], 30)


def test_a_batch_must_add_up() -> None:
    """Records are stored or dead-lettered, at least one and no more than there are offsets."""
    right = entry(0, 9, dead=3)
    assert right.adds_up
    wrong = [replace(right, stored=8), replace(right, records=11, stored=8), replace(right, records=0, stored=-3)]
    for one in wrong:
        assert tiled([one], end=10).wrong == [one]


@given(st.sets(st.integers(0, 300_000), max_size=60), st.integers(-1, 300_000), st.integers(0, 300_000))
def test_an_offset_set_is_a_set(drawn: set[int], first: int, length: int) -> None:
    """Membership and counts over any range are those of a Python set."""
    offset_set = OffsetSet([*drawn, *drawn])
    first, last = max(first, 0), max(first, 0) + length - 1
    assert offset_set.count(first, last) == sum(first <= offset <= last for offset in drawn)
    assert all((offset in offset_set) == (offset in drawn) for offset in [*drawn, first, last + 1])


@given(st.lists(st.integers(1, 50), max_size=20), st.integers(0, 60))
def test_stretches_are_joined_where_they_are_near(steps: list[int], near: int) -> None:
    """None is lost, their order stays, and only a long way parts them."""
    made, at = [], 0
    for step in steps:
        made.append(Stretch(at + step, at + step + 2))
        at += step + 3
    groups = list(joined(made, near))
    assert [stretch for group in groups for stretch in group] == made
    for before, after in pairwise(groups):
        assert after[0].first - before[-1].last > near
