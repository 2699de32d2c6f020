"""The journal: what was written is read, whatever a kill left at its end."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from chaos import streams
from chaos.executor import groups
from chaos.faults import all_faults
from chaos.journal import Ack, Entry, Journal, read
from chaos.truth import expected_rows

ENTRIES = list(streams.plain(2, 60))


def _write(path: Path) -> None:
    journal = Journal(path)
    journal.add(ENTRIES[:40])
    journal.add([Ack(0, 3, 17), Ack(1, 0, 0)])
    journal.add(ENTRIES[40:])
    journal.close()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Entries with bytes and content, acknowledgements with places, and which entries lack one."""
    _write(tmp_path / "journal")
    written = read(tmp_path / "journal")
    assert list(written.entries.values()) == ENTRIES
    assert written.acks == {0: Ack(0, 3, 17), 1: Ack(1, 0, 0)}
    assert [entry.number for entry in written.open] == list(range(2, len(ENTRIES)))


@pytest.mark.parametrize("cut", [1, 7, 300])
def test_half_a_line_at_the_end_is_cut_off(tmp_path: Path, cut: int) -> None:
    """A kill within a write costs the entries that were never sent, and the file goes on soundly."""
    path = tmp_path / "journal"
    _write(path)
    path.write_bytes(path.read_bytes()[:-cut])
    left = read(path)
    assert list(left.entries.values()) == ENTRIES[: len(left.entries)]
    assert len(left.entries) < len(ENTRIES)
    journal = Journal(path)
    journal.add(ENTRIES[len(left.entries) :])
    journal.close()
    assert list(read(path).entries.values()) == ENTRIES


def test_no_journal_is_an_empty_one(tmp_path: Path) -> None:
    """The first start finds nothing."""
    assert read(tmp_path / "none").open == []


def test_the_first_acknowledgement_of_an_entry_stays(tmp_path: Path) -> None:
    """A record that was sent twice is known by the place of the first."""
    journal = Journal(tmp_path / "journal")
    journal.add([ENTRIES[0], Ack(0, 1, 5), Ack(0, 1, 9)])
    journal.close()
    assert read(tmp_path / "journal").acks[0].offset == 5


@pytest.mark.parametrize("name", sorted({fault.stream for fault in all_faults().values()}))
def test_a_stream_is_the_same_each_time(name: str) -> None:
    """Numbered without gaps, equal for equal seeds, different for others; what counts has one identity each."""
    stream = streams.named(name)
    first, second = list(stream(5, 200)), list(stream(5, 200))
    assert first == second
    assert first != list(stream(6, 200))
    assert [entry.number for entry in first] == list(range(len(first)))
    assert len(expected_rows(first)) >= 200


def test_groups_wait_where_an_entry_says_so() -> None:
    """An entry that must come after earlier acknowledgements begins a group of its own."""
    entries = [Entry(number, None, b"", after_acks=number == 5) for number in range(8)]
    assert [len(group) for group in groups(iter(entries))] == [5, 3]
    assert sum(len(group) for group in groups(itertools.islice(iter(ENTRIES), 50))) == 50
