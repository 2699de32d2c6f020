"""The dead-letter topic takes nothing for a while: nothing may be committed past a record that belongs there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from random import Random
from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, though its stubs do not re-export all
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from chaos.faults.fault import Fault
from chaos.faults.poison import spoiled
from chaos.journal import Entry
from chaos.world import World
from taximeter_consumers.kafka_client import QUIET
from taximeter_infra.topics import ensure_topics
from taximeter_schemas.errors import Retryable

_REFUSED: Final = "did not take a record"
_LIMIT: Final = "max.message.bytes"
_SECONDS: Final = 30.0


def one_in_hundred(seed: int, count: int) -> Iterator[Entry]:
    """Enough bad records that every partition has some."""
    return spoiled(seed, count, 0.01)


def missing(world: World, rng: Random) -> None:
    """The topic is not there; somebody makes it later."""
    admin = _admin(world)
    admin.delete_topics([world.topics.dead_letters])[world.topics.dead_letters].result()
    _await_refusal(world, "the dead-letter topic was missing")
    ensure_topics(world.kafka, world.topics)
    del rng


def refusing(world: World, rng: Random) -> None:
    """The topic takes no record of any size, from the start or from somewhere in the midst."""
    if rng.random() < 0.5:
        world.start_sink()
        world.await_stored(rng.randrange(1, 600))
        for sink in world.running("sink"):
            sink.stop()
    _limit(world, "1")
    _await_refusal(world, "the dead-letter topic refused every record")
    _limit(world, str(2**24))


def _await_refusal(world: World, what: str) -> None:
    sink = world.start_sink()
    world.await_said(sink, _REFUSED)
    world.await_acked(world.input.events)
    world.injected.append(what)
    past = [place for place in _bad_places(world) if place[1] < _committed(world).get(place[0], 0)]
    letters = int(world.clickhouse.scalar("SELECT sum(dead_lettered) FROM ingest_batches"))
    if len(past) > letters:
        raise Retryable(f"{len(past)} bad records lie below what is committed, {letters} are among the dead letters")


def _bad_places(world: World) -> list[tuple[int, int]]:
    written = world.written()
    acks = (written.acks.get(entry.number) for entry in written.entries.values() if entry.event is None)
    return [(ack.partition, ack.offset) for ack in acks if ack is not None]


def _committed(world: World) -> dict[int, int]:
    """What the sink's group has committed."""
    config = {**world.kafka.client_config(), "group.id": world.name, "enable.auto.commit": False}
    partitions = [TopicPartition(world.topics.events, number) for number in range(world.topics.partitions)]
    with closing(Consumer(config, logger=QUIET)) as consumer:
        try:
            return {one.partition: one.offset for one in consumer.committed(partitions, _SECONDS)}
        except KafkaException as error:
            raise Retryable(f"the group cannot be asked ({error.args[0].name()})") from error


def _limit(world: World, size: str) -> None:
    entry = ConfigEntry(_LIMIT, size, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, world.topics.dead_letters, incremental_configs=[entry])
    admin = _admin(world)
    for done in admin.incremental_alter_configs([resource]).values():
        done.result()


def _admin(world: World) -> AdminClient:
    return AdminClient({**world.kafka.client_config()}, logger=QUIET)


FAULTS = (
    Fault(
        "dead_letters_missing",
        "the dead-letter topic is missing until somebody makes it",
        missing,
        stream="chaos.faults.dead_letters_refused:one_in_hundred",
        tested=False,
    ),
    Fault(
        "dead_letters_refused",
        "the dead-letter topic refuses every record for a while",
        refusing,
        stream="chaos.faults.dead_letters_refused:one_in_hundred",
        events=1_500,
        tested=False,
    ),
)
