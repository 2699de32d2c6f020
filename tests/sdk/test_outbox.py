"""Events on their way to a client that says nothing: with a spool none is lost while there is disk."""

from __future__ import annotations

from pathlib import Path

from tests.sdk.waiting import until

from taximeter import Meter, MeterSettings
from taximeter.emission import emission_of
from taximeter.emitter.draining import Draining
from taximeter.emitter.outbox import SPILL_AFTER_SECONDS, Outbox
from taximeter.emitter.sending import Parts, Progress, Sending
from taximeter.emitter.transport import MemoryTransport, OnDelivery
from taximeter.emitter.waiting import Bounds, WaitingRoom
from taximeter.faults import Faults
from taximeter.spool import Spool, SpoolSettings
from taximeter_schemas.registry import PackagedRegistry


def _numbered(first: int, last: int) -> list[Sending]:
    return [Sending(number, b"run", b"%d" % number, 0.0) for number in range(first, last)]


def _full_room(events: int) -> WaitingRoom:
    room = WaitingRoom(Bounds(events))
    for _ in range(events):
        room.offer(emission_of(({}, "n", "", 1, "", 0, [], 0, None, None, None, None)))
    room.take(events)
    return room


def _spooled(spool: Spool) -> list[bytes]:
    spool.seal()
    segment = spool.claim()
    return [] if segment is None else [value for _, value in segment.records()]


def _parts(room: WaitingRoom, transport: MemoryTransport, directory: Path) -> tuple[Parts, Spool]:
    faults = Faults()
    spool = Spool(SpoolSettings(directory), faults)
    return Parts(room, transport, PackagedRegistry(), faults, spool=spool, clock=lambda: 0.0), spool


def test_a_client_that_says_nothing_does_not_keep_events_from_the_disk(tmp_path: Path) -> None:
    """A thousand events pass through a room for twenty; before the client has timed out, none is dropped."""
    transport = MemoryTransport()
    transport.silent = True
    meter = Meter(MeterSettings(queue_events=20, spool_dir=tmp_path / "spool"), transport)
    with meter.run() as run:
        for number in range(1_000):
            until(lambda: meter.counters().queue_depth < 20)
            with run.node(f"n{number}"):
                pass
    until(lambda: meter.counters().encoded == 1_000)
    assert meter.counters().dropped == {}
    assert meter.close(0)
    assert meter.counters().spilled == 1_000


def test_the_client_gets_half_of_the_room_and_the_disk_the_rest(tmp_path: Path) -> None:
    """What it has stays with it; only what finds no place there is spooled, and only under pressure."""
    transport = MemoryTransport()
    transport.silent = True
    room = _full_room(10)
    parts, spool = _parts(room, transport, tmp_path)
    outbox = Outbox(parts, Progress())
    outbox.add(_numbered(1, 11))
    outbox.send(1.0)
    assert transport.sends == 5
    outbox.relieve(1.0)
    assert (room.held, outbox.outgoing, outbox.in_flight) == (5, False, True)
    assert _spooled(spool) == [b"6", b"7", b"8", b"9", b"10"]
    spool.close()


def test_what_the_client_has_kept_for_seconds_is_taken_back(tmp_path: Path) -> None:
    """It goes to the disk, the client lets go of it, and a report that comes late changes nothing."""
    transport = MemoryTransport()
    transport.silent = True
    late: list[OnDelivery] = []
    room = _full_room(2)
    parts, spool = _parts(room, transport, tmp_path)
    progress = Progress()
    outbox = Outbox(parts, progress)
    outbox.add(_numbered(1, 2))
    outbox.send(1.0)
    late += [report for report, _ in transport._reports]
    assert not outbox.stuck(SPILL_AFTER_SECONDS)
    now = 1.0 + SPILL_AFTER_SECONDS
    assert outbox.stuck(now)
    outbox.take_back(now)
    assert (transport.closed, outbox.in_flight, room.held) == (True, False, 1)
    late[0](None)
    assert (room.held, progress.spilled, progress.acknowledged) == (1, 1, 0)
    assert _spooled(spool) == [b"1"]
    spool.close()


def test_a_full_disk_leaves_the_client_what_it_has(tmp_path: Path) -> None:
    """Nothing is taken back that could not be kept, and the next try comes seconds later."""
    transport = MemoryTransport()
    transport.silent = True
    room = _full_room(2)
    faults = Faults()
    spool = Spool(SpoolSettings(tmp_path, limit_bytes=1), faults)
    outbox = Outbox(Parts(room, transport, PackagedRegistry(), faults, spool=spool), Progress())
    outbox.add(_numbered(1, 2))
    outbox.send(1.0)
    outbox.take_back(9.0)
    assert (transport.closed, outbox.in_flight, outbox.stuck(9.1), room.held) == (False, True, False, 2)
    spool.close()


class _Clumsy(MemoryTransport):
    """Fails once in a way that nobody has foreseen."""

    clumsy = True

    def send(self, key: bytes, value: bytes, on_delivery: OnDelivery) -> None:
        """As the parent's, from the second time on."""
        if self.clumsy:
            self.clumsy = False
            raise RuntimeError("a bug")
        super().send(key, value, on_delivery)


def test_a_transport_that_fails_unforeseen_is_not_believed_to_have_the_event(tmp_path: Path) -> None:
    """Else it would be spooled and settled twice."""
    transport = _Clumsy()
    meter = Meter(MeterSettings(spool_dir=tmp_path / "spool", queue_events=1), transport)
    transport.silent = True
    with meter.run() as run, run.node("n"):
        pass
    until(lambda: not transport.clumsy)
    assert meter.close(0)
    counters = meter.counters()
    assert (counters.spilled, counters.queue_depth) == (1, 0)


def test_a_drain_survives_a_transport_that_fails_unforeseen(tmp_path: Path) -> None:
    """The record is sent later, and its segment comes to its end."""
    spool = Spool(SpoolSettings(tmp_path), Faults())
    spool.append([(b"run", b"1"), (b"run", b"2")])
    transport, moment = _Clumsy(), 0.0
    draining = Draining(spool, transport, Faults(), lambda: moment)
    for _ in range(4):
        moment += 10.0
        try:
            draining.step(healthy=True)
        except RuntimeError:
            continue
        transport.poll(0.0)
    assert sorted(value for _, value in transport.stored) == [b"1", b"2"]
    assert (draining.drained, draining.busy, list(tmp_path.iterdir())) == (2, False, [])
    spool.close()


def test_a_drain_that_was_stopped_begins_again(tmp_path: Path) -> None:
    """What was on its way then is sent once more, and its late report counts for nothing."""
    spool = Spool(SpoolSettings(tmp_path), Faults())
    spool.append([(b"run", b"1")])
    transport, moment = MemoryTransport(), 10.0
    transport.silent = True
    draining = Draining(spool, transport, Faults(), lambda: moment)
    draining.step(healthy=True)
    draining.stop()
    moment = 20.0
    draining.step(healthy=True)
    transport.silent = False
    transport.poll(0.0)
    draining.step(healthy=True)
    assert (transport.sends, draining.drained, draining.busy, list(tmp_path.iterdir())) == (2, 1, False, [])
    spool.close()


def test_patience_grows_with_each_take_back_and_ends_with_a_delivery(tmp_path: Path) -> None:
    """A client on a slow way gets longer each time, or it would never deliver; after a delivery it is as at first."""
    transport = MemoryTransport()
    transport.silent = True
    parts, _ = _parts(_full_room(8), transport, tmp_path / "spool")
    outbox = Outbox(parts, Progress())
    now, waits = 0.0, []
    for number in range(1, 7):
        outbox.add(_numbered(number, number + 1))
        outbox.send(now)
        wait = next(seconds for seconds in range(100) if outbox.stuck(now + seconds))
        waits.append(wait)
        now += wait
        outbox.take_back(now)
    assert waits == [5, 10, 20, 40, 60, 60]
    transport.silent = False
    outbox.add(_numbered(7, 8))
    outbox.send(now)
    transport.poll(0)
    transport.silent = True
    outbox.add(_numbered(8, 9))
    outbox.send(now)
    assert next(seconds for seconds in range(100) if outbox.stuck(now + seconds)) == SPILL_AFTER_SECONDS
