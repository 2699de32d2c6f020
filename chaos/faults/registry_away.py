"""The schema registry is away, then broken: what it alone can tell must wait, and nothing of it may be set aside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Final

from chaos.faults.fault import Fault
from chaos.journal import Entry
from chaos.registry import switched_registry
from chaos.streams import entry_of, made_events
from chaos.topic_log import read_topic
from chaos.world import World
from taximeter_schemas import avro_files, frame
from taximeter_schemas.errors import Retryable

_FIRST, _NEWER, _NOBODYS = 7_001, 7_002, 7_999
_NOT_YET: Final = "not stored yet"
# Two fields at the end of the record, with the bytes of their values behind a body of the current version.
_ADDED: Final = ({"name": "region", "type": "string", "default": ""}, {"name": "seats", "type": "int", "default": 0})
_ADDED_BYTES: Final = b"\x04eu\x0e"


def versions(seed: int, count: int) -> Iterator[Entry]:
    """Events under the registry's own ids: of two versions, and a few under an id that nobody has registered."""
    rng = Random(f"registry/{seed}")
    number = 0
    for at, event in enumerate(made_events(seed, count)):
        entry = entry_of(number, event)
        body = (entry.value or b"")[frame.HEADER_SIZE :]
        drawn = rng.random()
        if drawn < 0.003 or at == count // 2:
            yield Entry(number, event.run_id, frame.header(_NOBODYS) + body, counts=False)
            number += 1
        sent = frame.header(_NEWER) + body + _ADDED_BYTES if drawn < 0.25 else frame.header(_FIRST) + body
        yield replace(entry, number=number, value=sent)
        number += 1


def registered() -> dict[int, str]:
    """What the registry knows."""
    newer = json.loads(avro_files.text_of(avro_files.CURRENT_VERSION))
    newer["fields"] += _ADDED
    return {_FIRST: avro_files.text_of(avro_files.CURRENT_VERSION), _NEWER: json.dumps(newer)}


def away(world: World, rng: Random) -> None:
    """Nobody answers; then something in front of it does, with an error; then the registry itself."""
    registry = world.held.enter_context(switched_registry())
    registry.schemas = registered()
    world.environment["SCHEMA_REGISTRY_URL"] = registry.url
    sink = world.start_sink()
    world.await_said(sink, _NOT_YET)
    registry.fails_with = rng.choice((404, 502, 503))
    registry.open()
    world.await_condition(lambda: registry.asked > 0, "the sink to ask the registry")
    world.await_acked(world.input.events // 2)
    world.injected.append(f"the schema registry away, then answering {registry.fails_with}")
    if world.stored() or read_topic(world.kafka, world.topics.dead_letters):
        raise Retryable("records were stored or set aside while nobody could tell their schema")
    registry.fails_with = None
    world.await_stored(rng.randrange(1, 500))
    # What the sink knows by now it need not ask for.
    registry.close()
    world.await_acked(world.input.events)
    registry.open()


FAULTS = (
    Fault(
        "registry_away",
        "the schema registry does not answer, then fails; a newer version and an unknown id are in the log",
        away,
        stream="chaos.faults.registry_away:versions",
        events=1_500,
        tested=False,
    ),
)
