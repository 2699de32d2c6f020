"""Draining: sent oldest first, deleted when acknowledged, kept when not."""

from __future__ import annotations

from pathlib import Path

from tests.spool.conftest import MakeSpool, numbers_of, pairs, segments_in

from taximeter.emitter.transport import MemoryTransport, OnDelivery
from taximeter.spool import Spool
from taximeter.spool.draining import WINDOW, Bounds, Drained, drain
from taximeter_schemas.errors import Poison, Retryable

BOUNDS = Bounds(60)


def filled(make_spool: MakeSpool, count: int, **settings: object) -> Spool:
    """A spool with this many records, sealed."""
    spool = make_spool(**settings)
    assert spool.append(pairs(*range(count))) == count
    spool.seal()
    return spool


def test_everything_is_sent_and_taken_away(make_spool: MakeSpool, directory: Path) -> None:
    """In order where nothing fails; more records than may be on their way at once."""
    spool, transport = filled(make_spool, WINDOW + 500, segment_bytes=500_000), MemoryTransport()
    drained = drain(spool, transport, BOUNDS)
    assert numbers_of(transport.stored) == list(range(WINDOW + 500))
    assert (drained.acknowledged, drained.segments) == (WINDOW + 500, 2)
    assert list(directory.iterdir()) == []


def test_a_failed_delivery_is_sent_again(make_spool: MakeSpool, directory: Path) -> None:
    """Whether the send or the report says so; the segment goes when all are in."""
    spool, transport = filled(make_spool, 5), MemoryTransport()
    transport.answers.extend([None, Retryable("the broker is away"), None, Retryable("still")])
    drained = drain(spool, transport, BOUNDS)
    assert sorted(numbers_of(transport.stored)) == list(range(5))
    assert (drained.acknowledged, drained.segments, drained.why) == (5, 1, "")
    assert list(directory.iterdir()) == []


def test_a_silent_broker_ends_it(make_spool: MakeSpool, directory: Path) -> None:
    """After so long without an acknowledgement; the segment stays and is free."""
    for trouble in ("silent", "full", "down"):
        spool, transport = filled(make_spool, 5), MemoryTransport()
        setattr(transport, trouble, True)
        moments = iter(range(1_000_000))
        drained = drain(spool, transport, Bounds(20, clock=lambda moments=moments: float(next(moments))))
        assert (drained.acknowledged, drained.segments) == (0, 0)
        assert ("told to be down" in drained.why) == (trouble == "down")
        assert ("acknowledged nothing" in drained.why) == (trouble != "down")
        assert len(segments_in(directory)) == 1
        assert drain(spool, MemoryTransport(), BOUNDS).acknowledged == 5


def test_it_stops_when_told(make_spool: MakeSpool, directory: Path) -> None:
    """In the middle of a segment, which stays as it was, or before the next one."""
    spool, transport = filled(make_spool, 30, segment_bytes=400), MemoryTransport()
    before = segments_in(directory)
    drained = drain(spool, transport, Bounds(60, lambda: transport.sends >= 6))
    assert drained.segments == 1
    assert segments_in(directory) == before[1:]
    seen: list[int] = []
    again = drain(spool, transport, Bounds(60, on_progress=lambda drained: seen.append(drained.acknowledged)))
    assert seen == sorted(seen)
    assert seen[-1] == again.acknowledged
    assert set(numbers_of(transport.stored)) == set(range(30))


def test_what_the_broker_never_takes_is_kept(make_spool: MakeSpool, directory: Path) -> None:
    """The others of its segment are sent; the file is set aside, not deleted and not sent again."""

    class Choosy(MemoryTransport):
        def send(self, key: bytes, value: bytes, on_delivery: OnDelivery) -> None:
            if key == b"run-1":
                raise Poison("msg_size_too_large", "too large")
            super().send(key, value, on_delivery)

    spool, transport = filled(make_spool, 4), Choosy()
    transport.answers.extend([None, Poison("invalid_record", "no"), None])
    drained = drain(spool, transport, BOUNDS)
    assert (drained.acknowledged, drained.refused, drained.set_aside) == (2, 2, 1)
    assert numbers_of(transport.stored) == [0, 3]
    assert [path.suffix for path in directory.iterdir()] == [".corrupt"]
    assert drain(spool, transport, BOUNDS) == Drained()
