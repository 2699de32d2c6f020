"""Event ids: UUIDv7, ordered by time, never handed out twice."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from uuid import RFC_4122, UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter_schemas.uuid7 import birth_of, compose, new_event_id

millis = st.integers(0, 2**48 - 1)
entropies = st.binary(min_size=10, max_size=10)


@given(millis, entropies)
def test_version_and_variant_are_set(moment: int, entropy: bytes) -> None:
    """Whatever the entropy, the id is a UUIDv7 of RFC 9562."""
    made = compose(moment, entropy)
    assert made.version == 7
    assert made.variant == RFC_4122
    assert made.int >> 80 == moment


@given(millis, millis, entropies, entropies)
def test_ids_sort_by_their_millisecond(first: int, second: int, one: bytes, other: bytes) -> None:
    """As text, as bytes and as numbers an earlier id is smaller."""
    early, late = compose(first, one), compose(second, other)
    if first < second:
        assert early.int < late.int
        assert str(early) < str(late)
        assert early.bytes < late.bytes


@given(st.integers(0, 4_102_444_800_000), entropies)
def test_an_id_tells_its_birth(moment: int, entropy: bytes) -> None:
    """The millisecond comes back out of the id."""
    birth = birth_of(compose(moment, entropy))
    assert birth.tzinfo is UTC
    assert round(birth.timestamp() * 1000) == moment


@given(entropies, entropies)
def test_74_bits_of_entropy_are_kept(one: bytes, other: bytes) -> None:
    """Ids of one millisecond differ unless their 74 bits of entropy are the same."""
    mask = ~(0xF << 76 | 0x3 << 62) & (1 << 80) - 1
    same = int.from_bytes(one, "big") & mask == int.from_bytes(other, "big") & mask
    assert (compose(0, one) == compose(0, other)) is same


def test_other_uuids_have_no_birth() -> None:
    """A random UUID is refused, not misread."""
    with pytest.raises(ValueError, match="not a UUIDv7"):
        birth_of(uuid4())


def test_an_id_past_the_calendar_has_no_birth() -> None:
    """The 48 bits reach past the year 9999; such an id is refused in the same way."""
    with pytest.raises(ValueError, match="9999"):
        birth_of(compose(2**48 - 1, b"0123456789"))


def test_the_clock_is_an_argument() -> None:
    """A source takes the time that it is given."""
    made = new_event_id(1_750_000_000_123_456_789)
    assert birth_of(made) == datetime.fromtimestamp(1_750_000_000.123, UTC)


def test_ids_are_unique_across_threads() -> None:
    """Threads that share a source never get the same id."""
    source, found = new_event_id, list[UUID]()
    threads = [threading.Thread(target=lambda: found.extend(source(0) for _ in range(3_000))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 12_000


def test_a_forked_child_makes_other_ids() -> None:
    """Parent and child do not hand out the same ids from an inherited pool."""
    script = """
import os, sys
from taximeter_schemas.uuid7 import new_event_id
new_event_id(0)
out, into = os.pipe()
if os.fork() == 0:
    os.write(into, "".join(f"{new_event_id(0)}\\n" for _ in range(50)).encode())
    os._exit(0)
mine = {str(new_event_id(0)) for _ in range(50)}
os.wait()
theirs = set(os.read(out, 4096).decode().split())
sys.exit(0 if len(theirs) == 50 and not mine & theirs else 1)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", script], env=environment, check=False).returncode == 0


def test_new_ids_carry_the_present() -> None:
    """Without a clock given, an id is born now."""
    before = datetime.now(UTC)
    born = birth_of(new_event_id())
    assert abs((born - before).total_seconds()) < 60
