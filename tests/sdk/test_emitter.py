"""The emitter: bounded, patient with a broker that fails, and done in time at the end."""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taximeter import Meter, MeterSettings, current_node
from taximeter.emission import Emission, emission_of
from taximeter.emitter.sending import backoff
from taximeter.emitter.transport import MemoryTransport
from taximeter.emitter.waiting import Bounds, WaitingRoom
from taximeter.testing import RecordedMeter
from taximeter_schemas.codec import decode
from taximeter_schemas.errors import Fenced, Poison, Retryable
from taximeter_schemas.registry import PackagedRegistry, Registry


@pytest.fixture
def transport() -> MemoryTransport:
    return MemoryTransport()


@pytest.fixture
def meter(transport: MemoryTransport) -> Iterator[Meter]:
    """A meter with room for ten events, closed without waiting."""
    made = Meter(MeterSettings(queue_events=10), transport)
    yield made
    made.close(0)


def _emit(meter: Meter, events: int) -> None:
    with meter.run() as run:
        for number in range(events):
            with run.node(f"n{number}"):
                pass


def _node_ids(transport: MemoryTransport) -> list[str]:
    return [decode(value, PackagedRegistry()).node_id for _, value in transport.stored]


def test_the_bound_holds_for_what_waits_and_what_is_not_acknowledged(meter: Meter, transport: MemoryTransport) -> None:
    """With a broker that says nothing, ten events are held; every further one is dropped and counted, nothing waits."""
    transport.silent = True
    _emit(meter, 25)
    counters = meter.counters()
    assert (counters.accepted, counters.queue_depth, dict(counters.dropped)) == (10, 10, {"full": 15})
    assert not meter.flush(0)


def test_events_go_out_in_their_order(meter: Meter, transport: MemoryTransport) -> None:
    """First in, first out."""
    _emit(meter, 8)
    assert meter.flush(30)
    assert _node_ids(transport) == [f"n{number}" for number in range(8)]


@pytest.mark.parametrize("error", [Retryable("timed out"), Fenced("fenced")])
def test_a_failed_delivery_is_sent_again(meter: Meter, transport: MemoryTransport, error: Exception) -> None:
    """Until it is acknowledged, with the same bytes and so the same event id."""
    transport.answers.extend([error, error, None])  # type: ignore[list-item]  # both are of our tree
    _emit(meter, 1)
    assert meter.flush(30)
    counters = meter.counters()
    assert (counters.failed, counters.retried, counters.produced, counters.acknowledged) == (2, 2, 3, 1)
    assert len(transport.stored) == 1


def test_an_event_that_can_never_be_stored_is_dropped_and_counted(meter: Meter, transport: MemoryTransport) -> None:
    """It does not hold up the others."""
    transport.answers.append(Poison("msg_size_too_large", "too large"))
    _emit(meter, 3)
    assert meter.flush(30)
    assert meter.counters().dropped == {"refused": 1}
    assert len(transport.stored) == 2


def test_a_transport_that_is_full_is_waited_for(meter: Meter, transport: MemoryTransport) -> None:
    """Nothing is lost by it, and hooks do not notice."""
    transport.full = True
    _emit(meter, 5)
    assert not meter.flush(0.05)
    transport.full = False
    assert meter.flush(30)
    assert len(transport.stored) == 5


def test_a_registry_that_is_away_delays_and_loses_nothing(transport: MemoryTransport) -> None:
    """Making the meter does not ask it; the worker asks until it answers."""

    class Away(PackagedRegistry):
        asked = 0

        def current_id(self) -> int:
            self.asked += 1
            if self.asked < 3:
                raise Retryable("the schema registry does not answer")
            return 1

    registry: Registry = Away()
    with Meter(MeterSettings(), transport, lambda: registry) as meter:
        _emit(meter, 2)
        assert meter.flush(30)
    assert len(transport.stored) == 2


def test_a_worker_survives_what_it_does_not_expect(meter: Meter, transport: MemoryTransport) -> None:
    """A bug in a transport delays; it does not end metering."""
    transport.answers.append("nonsense")  # type: ignore[arg-type]  # the point
    _emit(meter, 2)
    assert meter.flush(30)
    assert len(transport.stored) >= 1


def test_flush_waits_for_what_came_before_it(meter: Meter, transport: MemoryTransport) -> None:
    """A stream of later events does not keep it waiting."""
    stop = threading.Event()

    def stream() -> None:
        while not stop.is_set():
            _emit(meter, 1)

    streaming = threading.Thread(target=stream)
    streaming.start()
    try:
        assert meter.flush(30)
    finally:
        stop.set()
        streaming.join()


def test_blocking_waits_for_room_and_no_longer_than_its_bound(transport: MemoryTransport) -> None:
    """With room in time nothing is dropped; without, the event is."""
    transport.silent = True
    settings_ = MeterSettings(queue_events=1, when_full="block", block_ms=60_000)
    with Meter(settings_, transport) as meter:
        _emit(meter, 1)
        waiting = threading.Thread(target=_emit, args=(meter, 1))
        waiting.start()
        transport.silent = False
        waiting.join()
        assert meter.counters().accepted == 2
    transport = MemoryTransport()
    transport.silent = True
    brief = Meter(MeterSettings(queue_events=1, when_full="block", block_ms=1), transport)
    _emit(brief, 3)
    assert brief.counters().dropped == {"full": 2}
    brief.close(0)


def test_closing_sends_the_last_events(transport: MemoryTransport) -> None:
    """Also those that are being sent again; afterwards hooks work and are counted."""
    meter = Meter(MeterSettings(), transport)
    transport.answers.append(Retryable("once"))
    _emit(meter, 5)
    assert meter.close(30)
    assert len(transport.stored) == 5
    assert transport.closed
    _emit(meter, 1)
    assert meter.counters().dropped == {"closed": 1}
    assert meter.close(0)


def test_what_is_left_at_the_end_is_counted_and_said(
    transport: MemoryTransport, caplog: pytest.LogCaptureFixture
) -> None:
    """A broker that never answers costs the bound, not more, and the loss is not silent."""
    transport.down = True
    meter = Meter(MeterSettings(), transport)
    _emit(meter, 3)
    assert not meter.close(0.1)
    assert meter.counters().lost_at_exit == 3
    assert "3 events were not acknowledged" in caplog.text


def test_a_meter_without_events_starts_no_thread(transport: MemoryTransport) -> None:
    """The thread comes with the first event."""
    before = threading.active_count()
    meter = Meter(MeterSettings(), transport)
    assert threading.active_count() == before
    assert meter.close(0)


def test_accepted_events_are_all_accounted_for() -> None:
    """accepted = acknowledged + dropped later + held."""

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.sampled_from([None, "again", "never"]), max_size=12), st.integers(0, 8), st.integers(1, 5))
    def holds(answers: list[str | None], events: int, room: int) -> None:
        transport = MemoryTransport()
        errors = {"again": Retryable("again"), "never": Poison("never", "never"), None: None}
        transport.answers.extend(errors[answer] for answer in answers)
        meter = Meter(MeterSettings(queue_events=room), transport)
        _emit(meter, events)
        meter.close(0.2)
        counters = meter.counters()
        assert counters.accepted + counters.dropped.get("full", 0) == events
        late = counters.dropped.get("refused", 0) + counters.dropped.get("invalid", 0)
        assert counters.accepted == counters.acknowledged + late + counters.queue_depth
        assert counters.acknowledged == len(transport.stored)
        assert counters.lost_at_exit == counters.queue_depth

    holds()


def test_pauses_grow_and_have_an_end() -> None:
    """From a tenth of a second to half a minute."""
    pauses = [backoff(tries) for tries in range(1, 100)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (0.1, 30.0)


def test_a_signal_handler_may_end_a_node(recorded: RecordedMeter) -> None:
    """A handler that runs in the middle of a hook of the same thread does not lock up."""
    handled = 0

    def handle(*_: object) -> None:
        nonlocal handled
        _emit(recorded.meter, 1)
        node.http()
        handled += 1
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.001)

    before = signal.signal(signal.SIGVTALRM, handle)
    with recorded.meter.run() as run, run.node("recorded on") as node:
        try:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.001)
            for _ in range(500):
                node.http()
                _emit(recorded.meter, 1)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, before)
    events = recorded.events
    assert sum(event.executions for event in events) == 500 + handled + 1
    assert sum(event.http.requests for event in events if event.http) == 500 + handled
    assert len({event.event_id for event in events}) == len(events)
    assert recorded.meter.counters().hook_errors == 0


def test_a_signal_handler_that_ends_the_process_leaves_the_room_whole() -> None:
    """`sys.exit` in a handler may cut a hook short right after any call that it makes."""

    class Cutting(deque[Emission]):
        def append(self, emission: Emission) -> None:
            super().append(emission)
            raise SystemExit

    room = WaitingRoom(Bounds(5))
    room._waiting = Cutting()
    with pytest.raises(SystemExit):
        room.offer(emission_of(({}, "n", "", 1, "", 0, [], 0, None, None, None, None)))
    assert (room.accepted, room.held) == (1, 1)
    assert [number for number, _ in room.take(5)] == [1]
    room.settle(1)
    assert room.flush(0)


def test_a_forgotten_run_is_said_at_the_end(transport: MemoryTransport, caplog: pytest.LogCaptureFixture) -> None:
    """Where nothing at all was metered, but something was recorded outside every run."""
    current_node().http()
    meter = Meter(MeterSettings(), transport)
    meter.close(0)
    assert "outside every run" in caplog.text
    caplog.clear()
    meter = Meter(MeterSettings(), transport)
    _emit(meter, 1)
    meter.close(30)
    assert caplog.text == ""
