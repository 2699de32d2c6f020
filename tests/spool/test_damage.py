"""A segment after any crash and any damage: whole records come out, altered ones never do, nothing raises."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.spool.conftest import MakeSpool, Pair, drained, numbers_of, pairs, segments_in

from taximeter.spool.layout import HEADER_SIZE, VERSION, Salt, header_of, new_salt, record_of, salt_of, size_of
from taximeter.spool.reading import _WINDOW, Reading

SALT = new_salt()


def image(records: list[Pair], salt: Salt = SALT) -> bytes:
    """A segment's bytes."""
    return header_of(salt) + b"".join(record_of(salt, *record) for record in records)


def read(content: bytes, salt: Salt = SALT) -> tuple[list[Pair], Reading]:
    """What reading these bytes gives."""
    reading = Reading(salt, lambda at, count: content[at : at + count], len(content))
    return list(reading.records()), reading


def test_a_segment_cut_at_any_byte_gives_its_whole_records() -> None:
    """The rest counts as torn; nothing counts as damage."""
    records = [*pairs(1, 2, 3, size=9), (b"", b""), *pairs(4)]
    content = image(records)
    ends = [HEADER_SIZE]
    for record in records:
        ends.append(ends[-1] + size_of(*record))
    for cut in range(len(content) + 1):
        found, reading = read(content[:cut])
        whole = max(sum(end <= cut for end in ends) - 1, 0)
        assert found == records[:whole]
        assert reading.torn_bytes == cut - (ends[whole] if cut >= HEADER_SIZE else 0)
        assert (reading.damaged_bytes, reading.complete, reading.count) == (0, True, whole)


def test_a_flipped_bit_costs_one_record_and_no_other() -> None:
    """At every byte of the file, headers included. What was hit counts as damage, or as torn where nothing follows."""
    records = pairs(1, 2, 3, 4, size=9)
    content = image(records)
    size = size_of(*records[0])
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << (place % 8)
        salt = salt_of(bytes(flipped[:HEADER_SIZE]))
        assert salt == SALT
        found, reading = read(bytes(flipped))
        if place < HEADER_SIZE:
            assert found == records
            continue
        hit = (place - HEADER_SIZE) // size
        assert found == records[:hit] + records[hit + 1 :]
        assert (reading.damaged_bytes, reading.torn_bytes) == (size, 0)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_no_altered_record_passes(data: st.DataObject) -> None:
    """Any bytes may be overwritten, removed or put in: what comes out was written, in its order."""
    records = [
        (f"{number}".encode(), data.draw(st.binary(max_size=60))) for number in range(data.draw(st.integers(1, 6)))
    ]
    content = bytearray(image(records))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(HEADER_SIZE, len(content)))
        content[start : start + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=40))
    found, reading = read(bytes(content))
    places = [records.index(record) for record in found]
    assert places == sorted(set(places))
    assert reading.complete
    assert HEADER_SIZE + sum(size_of(*record) for record in found) + reading.torn_bytes + reading.damaged_bytes == len(
        content
    )


def test_bytes_planted_in_a_value_are_no_record() -> None:
    """A whole segment of somebody else's inside a damaged record is not taken for ours."""
    planted = image(pairs(666), new_salt())
    content = bytearray(image([(b"k", planted), *pairs(1)]))
    content[HEADER_SIZE] ^= 0xFF
    found, reading = read(bytes(content))
    assert found == pairs(1)
    assert reading.damaged_bytes == size_of(b"k", planted)


def test_damage_longer_than_the_window_is_passed() -> None:
    """The next record is found wherever it lies towards the border of two windows."""
    for shift in range(-20, 20, 3):
        long = (b"k", b"v" * (2 * _WINDOW + shift))
        content = bytearray(image([*pairs(1), long, *pairs(2)]))
        start = HEADER_SIZE + size_of(*pairs(1)[0])
        content[start : start + 16] = b"\xff" * 16
        found, reading = read(bytes(content))
        assert numbers_of(found) == [1, 2]
        assert reading.damaged_bytes == size_of(*long)


def test_an_empty_end_is_torn() -> None:
    """A power cut may leave the file longer than its content; that much was never accepted."""
    found, reading = read(image(pairs(1)) + bytes(_WINDOW * 2 + 5))
    assert numbers_of(found) == [1]
    assert (reading.torn_bytes, reading.damaged_bytes) == (_WINDOW * 2 + 5, 0)


def test_a_disk_that_refuses_is_damage() -> None:
    """What was read stays; the rest counts as damaged, so that the file is kept."""
    content = image([*pairs(1), (b"k", b"v" * (_WINDOW + 9))])

    def refuse(at: int, count: int) -> bytes:
        if at + count > _WINDOW:
            raise OSError(5, "Input/output error")
        return content[at : at + count]

    reading = Reading(SALT, refuse, len(content))
    assert numbers_of(list(reading.records())) == [1]
    assert reading.damaged_bytes == size_of(b"k", b"v" * (_WINDOW + 9))
    assert reading.trouble is not None


def test_a_damaged_segment_is_kept_aside(make_spool: MakeSpool, directory: Path) -> None:
    """Its good records are sent, the file is renamed, counted and said; it is not drained again."""
    spool = make_spool()
    spool.append(pairs(1, 2, 3))
    spool.seal()
    (path,) = segments_in(directory)
    content = bytearray(path.read_bytes())
    content[HEADER_SIZE + size_of(*pairs(1)[0]) + 30] ^= 4
    path.write_bytes(content)
    assert spool.status().damaged_bytes == size_of(*pairs(2)[0])
    assert numbers_of(drained(spool)) == [1, 3]
    (kept,) = segments_in(directory, ".corrupt")
    assert kept.read_bytes() == bytes(content)
    status = spool.status()
    assert (status.segments, status.corrupt_files, status.corrupt_bytes, status.corrupted) == (0, 1, len(content), 1)
    assert spool._faults.count == 1


def test_a_segment_without_a_header_is_kept_aside(make_spool: MakeSpool, directory: Path) -> None:
    """Nothing in it can be told from chance; a file shorter than a header never held a record, and goes."""
    spool = make_spool()
    (directory / "1.spool").write_bytes(os.urandom(500))
    (directory / "2.spool").write_bytes(b"")
    (directory / "3.spool").write_bytes(header_of(SALT)[:40])
    assert drained(spool) == []
    assert [path.name for path in directory.iterdir()] == ["1.corrupt"]
    assert spool.status().torn_bytes == 40


def test_a_newer_version_is_left_alone(make_spool: MakeSpool, directory: Path) -> None:
    """Whoever wrote it can read it; older segments and ours are not held up by it."""
    salt = new_salt()
    newer = header_of(Salt(salt.mark, salt.mask, salt.seed, VERSION + 1)) + b"something else"
    spool = make_spool()
    (directory / "0.spool").write_bytes(newer)
    spool.append(pairs(1))
    spool.seal()
    assert numbers_of(drained(spool)) == [1]
    assert [path.read_bytes() for path in segments_in(directory)] == [newer]
    assert spool._faults.count == 1
    assert "newer version" in spool.passed_over["0.spool"]


def test_a_torn_end_is_counted_and_goes(make_spool: MakeSpool, directory: Path) -> None:
    """After a kill in the middle of writing the accepted records are sent and the file is deleted."""
    spool = make_spool()
    spool.append(pairs(1, 2))
    spool.seal()
    (path,) = segments_in(directory)
    with path.open("ab") as file:
        file.write(record_of(SALT, b"run", b"never accepted")[:9])
    assert spool.status().torn_bytes == 9
    assert numbers_of(drained(spool)) == [1, 2]
    assert list(directory.iterdir()) == []
    assert spool.status().torn_bytes == 9


@pytest.mark.parametrize("hit", [0, 20, HEADER_SIZE // 2 + 3])
def test_one_of_two_headers_is_enough(hit: int) -> None:
    """Damage to either leaves the segment readable."""
    content = bytearray(header_of(SALT))
    content[hit : hit + 4] = b"\0\1\2\3"
    assert salt_of(bytes(content)) == SALT
    content[hit % 28 : 28] = bytes(28 - hit % 28)
    content[28 + hit % 28 :] = b""
    assert salt_of(bytes(content)) is None
