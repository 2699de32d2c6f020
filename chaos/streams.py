"""What an executor sends: entries made of a seed and a count, the same each time. Named as `module:function`.

A fault with an input of its own brings a function of this form beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import import_module
from random import Random
from typing import Final

from chaos.journal import Entry
from taximeter_infra.simulate.generator import events
from taximeter_infra.simulate.plan import SimulationPlan
from taximeter_schemas import avro_files, frame
from taximeter_schemas.codec import encode, to_plain
from taximeter_schemas.event import MeterEvent

Stream = Callable[[int, int], Iterator[Entry]]
"""(seed, count) to entries, numbered from 0 without gaps."""

PLAIN: Final = "chaos.streams:plain"
HEADER: Final = frame.header(avro_files.CURRENT_VERSION)
# A few, far below the share at which a sink takes it for an error upstream.
_BAD_IN = 1_000


def named(name: str) -> Stream:
    """The stream of that name."""
    module, _, function = name.partition(":")
    stream: Stream = getattr(import_module(module), function)
    return stream


def made_events(seed: int, count: int) -> Iterator[MeterEvent]:
    """Events of simulated executors over some hours around the end of a month, so that they lie in two partitions."""
    plan = SimulationPlan(count, seed=seed, start=datetime(2026, 7, 31, 22, tzinfo=UTC), pace=count / 14_400)
    return events(plan)


def entry_of(number: int, event: MeterEvent, *, counts: bool = True) -> Entry:
    """The entry for an event as the SDK would send it."""
    return Entry(number, event.run_id, encode(event, HEADER), to_plain(event), counts)


def plain(seed: int, count: int) -> Iterator[Entry]:
    """Events of every kind, and with every other seed a few records among them that are none."""
    rng = Random(f"plain/{seed}")
    number = 0
    for event in made_events(seed, count):
        entry = entry_of(number, event)
        yield entry
        number += 1
        if seed % 2 == 0 and rng.randrange(_BAD_IN) == 0:
            yield Entry(number, event.run_id, spoiled(entry.value or b"", rng), counts=False)
            number += 1


def spoiled(value: bytes, rng: Random) -> bytes:
    """A record that no sink can store, made of one that it can."""
    return rng.choice(
        (
            b"\xff" + value[1:],
            value[: rng.randrange(1, len(value))],
            value + b"\x00",
            frame.header(4_242) + value[frame.HEADER_SIZE :],
        )
    )
