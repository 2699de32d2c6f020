"""The audit's arithmetic, held against a model that keeps every record by name; and batches' hashes made anew."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter_consumers.audit import findings
from taximeter_consumers.audit.balance import Counts, Reread, Severity, absent, balance, settled
from taximeter_consumers.audit.content import ContentCheck
from taximeter_consumers.audit.letters import source_of
from taximeter_consumers.audit.offset_set import OffsetSet
from taximeter_consumers.audit.rows import Island
from taximeter_consumers.audit.tiling import Entry, Stretch
from taximeter_consumers.sink.batch import Batch

FATES = st.lists(st.sampled_from(["row", "hidden", "elsewhere", "dead", "lost"]), min_size=1, max_size=40)


@given(FATES, st.integers(1, 3))
def test_the_equation_holds_for_any_fate_of_any_record(fates: list[str], batches: int) -> None:
    """Stored, duplicates, dead letters and lost make up what was consumed, however often batches cover it."""
    count = {place: fates.count(place) for place in ("row", "hidden", "elsewhere", "dead", "lost")}
    kept = len(fates) - count["dead"]
    island = Island(Stretch(0, len(fates) - 1), batches, batches * kept, kept, True, count["row"] + count["hidden"])
    said = absent(island, OffsetSet(offset for offset, place in enumerate(fates) if place == "dead"))
    sums = balance(
        Counts(
            consumed=batches * len(fates),
            dead_lettered=batches * count["dead"],
            present=island.present,
            visible=count["row"],
            again=said.again,
            absent_records=said.records,
            elsewhere=count["elsewhere"],
            lost=count["lost"],
        )
    )
    assert (sums.stored, sums.lost, sums.unproven, sums.difference) == (count["row"], count["lost"], 0, 0)
    assert sums.duplicates == count["hidden"] + count["elsewhere"] + (batches - 1) * kept


@given(st.integers(0, 50), st.integers(0, 50))
def test_what_was_not_read_again_is_unproven(records: int, looked_into: int) -> None:
    """Absent records are neither duplicates nor lost before somebody has looked."""
    lost = min(records, looked_into)
    sums = balance(
        Counts(consumed=100 + records, dead_lettered=0, present=100, visible=100, absent_records=records, lost=lost)
    )
    assert (sums.lost, sums.unproven, sums.difference) == (lost, records - lost, 0)
    told = {finding.severity for finding in findings.of_balance(sums, ())}
    assert (Severity.LOST in told, Severity.UNPROVEN in told) == (lost > 0, records > lost)


def test_rows_that_nobody_consumed_are_told() -> None:
    """More rows than the ledger has records: the two do not belong together."""
    sums = balance(Counts(consumed=10, dead_lettered=0, present=12, visible=12))
    assert [finding.kind for finding in findings.of_balance(sums, ())] == ["unbalanced"]


def test_overlapping_batches_with_holes_are_settled_by_the_log() -> None:
    """Counts alone say at least; what was read again says exactly."""
    island = Island(Stretch(0, 99), 2, 150, 80, False, 90)
    said = absent(island, OffsetSet())
    assert (said.exact, said.to_be_read, said.records) == (False, True, 0)
    assert settled(island, said, None) == said
    told = settled(island, said, Reread(records=95, stored=90, elsewhere=3, lost=2))
    assert (told.records, told.again, told.exact) == (5, 55, True)


@given(st.lists(st.binary(max_size=5) | st.none(), min_size=1, max_size=30), st.data())
def test_contents_are_verified_batch_by_batch(values: list[bytes | None], data: st.DataObject) -> None:
    """Any cut of the log is verified, overlapping ones too; a record that changed makes its batches different."""
    cuts = data.draw(
        st.lists(st.tuples(st.integers(0, len(values) - 1), st.integers(1, 30)), min_size=1, max_size=6, unique=True)
    )
    ranges = sorted({(first, min(first + length, len(values)) - 1) for first, length in cuts})
    ledger = [_entry(first, last, values[first : last + 1]) for first, last in ranges]
    changed = data.draw(st.none() | st.integers(0, len(values) - 1))
    check = ContentCheck("t", 0, ledger, 0)
    for offset, value in enumerate(values):
        check.take(offset, (value or b"") + b"!" if offset == changed else value)
    check.finish(len(values))
    wrong = [one for one in ledger if changed is not None and one.first <= changed <= one.last]
    assert sorted(check.different, key=lambda one: (one.first, one.last)) == wrong
    assert check.verified == len(ledger) - len(wrong)


def _entry(first: int, last: int, values: list[bytes | None]) -> Entry:
    batch = Batch(topic="t", partition=0, offsets=range(first, last + 1), values=values, arrivals=())
    return Entry(first, last, first * 100 + last, batch.content_hash, len(values), len(values), 0, 1)


class _Message:
    """Headers only: what `source_of` looks at."""

    def __init__(self, headers: object) -> None:
        self._headers = headers

    def headers(self) -> object:
        return self._headers


@pytest.mark.parametrize(
    ("offset", "expected"), [(b"12", ("events", 1, 12)), (b"x", None), (b"", None)], ids=["good", "words", "nothing"]
)
def test_the_last_coordinates_of_a_dead_letter_count(offset: bytes, expected: object) -> None:
    """A replayed dead letter carries those of its first death before them; a foreign record has none."""
    headers = [
        ("taximeter-source-topic", b"dlq"),
        ("taximeter-source-offset", b"3"),
        ("taximeter-source-topic", b"events"),
        ("taximeter-source-partition", b"1"),
        ("taximeter-source-offset", offset),
    ]
    assert source_of(_Message(headers)) == expected  # type: ignore[arg-type]  # only its headers are looked at
    assert source_of(_Message(None)) is None  # type: ignore[arg-type]  # the same
