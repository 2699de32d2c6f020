"""Records that decode as something else: a body with a whole further record behind it, in the sink's own framing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

from chaos.faults.fault import Fault
from chaos.journal import Entry
from chaos.streams import entry_of, made_events
from chaos.world import World
from taximeter_consumers.sink.columns import SchemaColumns
from taximeter_schemas import avro_files

_ONE_IN = 900
# A field of the sink's own around a record, in the structure of its INSERT.
_OWN_FIELD = re.compile(r"\b_\w+ FixedString\((\d+)\)")


def between_records() -> bytes:
    """What the sink puts between two records of a block, each field with the number 1: the place after the one, and
    what stands before the header of the next."""
    columns = SchemaColumns(1, avro_files.schema_of(avro_files.CURRENT_VERSION))
    *before, _, after = map(int, _OWN_FIELD.findall(columns.structure))
    return b"".join(b"\x01" + bytes(size - 1) for size in (after, *before))


def smuggled(seed: int, count: int) -> Iterator[Entry]:
    """Events, and now and then a record that would be read as two and shift all that follow."""
    rng = Random(f"smuggled/{seed}")
    between = between_records()
    stowaways = made_events(seed + 1_000_000, count)
    number = 0
    for event in made_events(seed, count):
        if rng.randrange(_ONE_IN) == 0 or number == count // 2:
            carrier, stowaway = entry_of(0, event).value or b"", entry_of(0, next(stowaways)).value or b""
            yield Entry(number, event.run_id, carrier + between + stowaway, counts=False)
            number += 1
        yield entry_of(number, event)
        number += 1


def only_store(world: World, _: Random) -> None:
    """Nothing is broken but the input."""
    world.start_sink()
    world.injected.append("records with a further record behind them")


FAULTS = (
    Fault(
        "misaligned_records",
        "records with a further one behind them, which would shift all that follow",
        only_store,
        stream="chaos.faults.misaligned:smuggled",
        events=1_500,
    ),
)
