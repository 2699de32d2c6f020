"""Ranges that tile a log, held against a model."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from chaos.checks.ledger import tile_problems
from chaos.evidence import Range


@st.composite
def _tiled(draw: st.DrawFn) -> tuple[list[Range], list[int]]:
    """Offsets of a partition, some of which hold no record, and ranges that tile them."""
    offsets = sorted(draw(st.sets(st.integers(0, 60), min_size=1, max_size=40)))
    cuts = sorted(draw(st.sets(st.integers(1, len(offsets)), max_size=6)) | {len(offsets)})
    ranges, at = [], 0
    for cut in cuts:
        taken = offsets[at:cut]
        if taken:
            bad = draw(st.integers(0, len(taken)))
            ranges.append(Range(0, taken[0], taken[-1], cut, len(taken), len(taken) - bad, bad))
        at = cut
    return ranges, offsets


@given(_tiled(), st.randoms())
def test_what_tiles_is_green_in_any_order(case: tuple[list[Range], list[int]], shuffle: object) -> None:
    """Offsets without a record between or within ranges are no gap."""
    ranges, offsets = case
    assert tile_problems(reversed(ranges), {0: offsets}) == []


@given(_tiled(), st.data())
def test_a_range_less_or_more_or_moved_is_red(case: tuple[list[Range], list[int]], data: st.DataObject) -> None:
    """Whichever range is lost, doubled, grown by a record or put into another partition."""
    ranges, offsets = case
    at = data.draw(st.integers(0, len(ranges) - 1))
    one, rest = ranges[at], [*ranges[:at], *ranges[at + 1 :]]
    assert tile_problems(rest, {0: offsets})
    assert tile_problems([*ranges, one], {0: offsets})
    assert tile_problems([*rest, replace(one, partition=1)], {0: offsets})
    assert tile_problems([*rest, replace(one, records=one.records + 1, stored=one.stored + 1)], {0: offsets})
    assert tile_problems([*rest, replace(one, dead_lettered=one.dead_lettered + 1)], {0: offsets})


def test_the_words_name_what_is_wrong() -> None:
    """Gap, overlap and the end of the log are told apart."""
    first, second = Range(0, 0, 4, 1, 5, 5, 0), Range(0, 5, 9, 2, 5, 5, 0)
    offsets = {0: range(10)}
    assert "gap before 5..9" in tile_problems([second], offsets)[0]
    assert "the last 5 records" in tile_problems([first], offsets)[0]
    assert "overlaps" in tile_problems([first, second, Range(0, 4, 6, 3, 3, 3, 0)], offsets)[0]
