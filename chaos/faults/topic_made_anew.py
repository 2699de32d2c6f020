"""The topic is deleted and made anew under its name while a sink is at work, asleep, or has records in hand.

What nobody has read of a deleted log is gone with it, so the fault deletes it only once the sink has all that lay
there: stored, or in hand. The executor sleeps meanwhile; what it sends then goes to the new log.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from confluent_kafka.admin import AdminClient

from chaos.faults.fault import Fault, Inject
from chaos.former_logs import FormerLog
from chaos.lines import AWAY, broker_line, clickhouse_line, start_sink_behind
from chaos.proxy import CUT, PASS
from chaos.topic_log import read_topic
from chaos.world import World
from taximeter_consumers.sink.log_identity import LogIdentity
from taximeter_infra.topics import ensure_topics


def awake(world: World, rng: Random) -> None:
    """The sink is polling when it happens. The old log may be short: then the new one is soon longer."""
    world.await_acked(rng.randrange(1, 1_000))
    with executor_asleep(world):
        world.start_sink()
        await_all_stored(world)
        make_anew(world)
    world.await_stored(world.stored() + 1)


def asleep(world: World, rng: Random) -> None:
    """The sink sleeps over it, until the new log is longer than the old one was where the sink left it."""
    sink = world.start_sink()
    world.await_stored(rng.randrange(1, 300))
    with executor_asleep(world):
        await_all_stored(world)
        sink.signal(signal.SIGSTOP)
        make_anew(world)
    before = _ends(world, former=True)
    world.await_condition(
        lambda: all(end > before.get(number, 0) for number, end in _ends(world).items()), "the new log to be longer"
    )
    sink.signal(signal.SIGCONT)
    world.injected.append("the sink slept over it, until the new log was longer")
    world.await_stored(world.stored() + 1)


def in_hand(world: World, rng: Random) -> None:
    """The sink has read records that it could not store yet, more than it puts in flight: they are nowhere else."""
    to_clickhouse, to_broker = clickhouse_line(world), broker_line(world)
    answers = bytearray()
    to_broker.taps.append(answers.extend)
    sink = start_sink_behind(world, clickhouse=to_clickhouse, broker=to_broker)
    world.await_stored(rng.randrange(1, 200))
    to_clickhouse.set(CUT)
    world.await_said(sink, AWAY)
    world.await_acked(len(world.written().acks) + rng.randrange(400, 900))
    with executor_asleep(world):
        log = read_topic(world.kafka, world.topics.events)
        stored = world.stored()
        world.await_condition(lambda: all((record.value or b"") in answers for record in log), "the sink to read all")
        make_anew(world)
        to_clickhouse.set(PASS)
        world.await_stored(len(log))
        world.injected.append(f"{len(log) - stored} records were in hand")
    world.await_stored(world.stored() + 1)


@contextmanager
def executor_asleep(world: World) -> Iterator[None]:
    """Stops the executor for a block."""
    sleepers = world.running("executor")
    for sleeper in sleepers:
        sleeper.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for sleeper in sleepers:
            sleeper.signal(signal.SIGCONT)


def await_all_stored(world: World) -> None:
    """Waits until the ledger has all that lies in the log."""
    world.await_condition(
        lambda: world.stored() >= len(read_topic(world.kafka, world.topics.events)), "all of the log to be stored"
    )


def make_anew(world: World) -> None:
    """Remembers what lies in the topic's log, deletes the topic and creates it again."""
    topic = world.topics.events
    identity = LogIdentity(world.kafka, topic, seen=True).log
    world.former_logs.append(FormerLog(identity, read_topic(world.kafka, topic)))
    admin = AdminClient(dict(world.kafka.client_config()))
    admin.delete_topics([topic])[topic].result()
    world.await_condition(lambda: topic not in admin.list_topics(timeout=10).topics, "the topic to be gone")
    ensure_topics(world.kafka, world.topics)
    world.injected.append("topic deleted and made anew")


def _ends(world: World, *, former: bool = False) -> dict[int, int]:
    records = world.former_logs[-1].records if former else read_topic(world.kafka, world.topics.events)
    ends = dict.fromkeys(range(world.topics.partitions), 0)
    for record in records:
        ends[record.partition] = max(ends[record.partition], record.offset + 1)
    return ends


def _fault(name: str, breaks: str, inject: Inject, *, tested: bool = True) -> Fault:
    copies = "what is read of the new log before the sink hears of it is read again; the view shows each event once"
    return Fault(name, breaks, inject, tested=tested, waives={"copies": copies})


FAULTS = (
    _fault("topic_made_anew", "the topic is deleted and made anew under the sink", awake),
    _fault(
        "topic_made_anew_asleep", "the same while the sink sleeps, until the new log is longer", asleep, tested=False
    ),
    _fault(
        "topic_made_anew_in_hand",
        "the same while the sink holds records that it could not store yet",
        in_hand,
        tested=False,
    ),
)
