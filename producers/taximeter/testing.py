"""For your own tests: a meter that keeps its events in memory.

    with memory_meter() as recorded:
        work(recorded.meter)
    assert recorded.only().ai.model == "gpt-4o"

Events pass the real codec both ways, so what a test sees is what would be on the wire.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from taximeter.emitter.transport import MemoryTransport
from taximeter.meter import Meter
from taximeter.settings import MeterSettings
from taximeter_schemas.codec import decode
from taximeter_schemas.event import MeterEvent
from taximeter_schemas.registry import PackagedRegistry


class RecordedMeter:
    """A meter, and what it emitted."""

    def __init__(self, settings: MeterSettings | None = None) -> None:
        self.transport = MemoryTransport()
        self.meter = Meter(settings or MeterSettings(), self.transport)

    @property
    def events(self) -> list[MeterEvent]:
        """All events so far, decoded, in the order of their emission."""
        self.meter.flush()
        registry = PackagedRegistry()
        return [decode(value, registry) for _, value in self.transport.stored]

    def only(self) -> MeterEvent:
        """The event, if it is one. Raises AssertionError."""
        events = self.events
        assert len(events) == 1, f"{len(events)} events were emitted, not one"  # noqa: S101 - it is for tests
        return events[0]

    def by_node(self) -> dict[str, list[MeterEvent]]:
        """The events of each node id."""
        nodes: dict[str, list[MeterEvent]] = {}
        for event in self.events:
            nodes.setdefault(event.node_id, []).append(event)
        return nodes


@contextmanager
def memory_meter(settings: MeterSettings | None = None) -> Iterator[RecordedMeter]:
    """A recorded meter that is closed at the end of the block; its events can still be read then."""
    recorded = RecordedMeter(settings)
    with recorded.meter:
        yield recorded
