"""No command is passed over, whatever the Kafka client does, and a hole in the log itself stops nobody."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tests.quota.service.world import PARTITIONS, World, facts, reserve, statuses
from tests.watched import Watched

from taximeter_consumers.quota.service import clients
from taximeter_consumers.quota.service.membership import Membership
from taximeter_consumers.quota.service.owner import Order
from taximeter_consumers.quota.service.restore import Site
from taximeter_consumers.quota.service.restorer import Restorer
from taximeter_schemas.quota.subject import partition_of

PARTITION = partition_of("account/acme", PARTITIONS)


@given(st.sets(st.integers(0, 30)), st.integers(0, 5), st.lists(st.integers(0, 5)))
def test_every_record_is_taken_wherever_the_client_jumps(log: set[int], start: int, jumps: list[int]) -> None:
    """A client that jumps ahead, also to the end, also again, is sent back; holes of the log are taken for what they
    are. Only who jumps to the same place twice is believed."""
    records = sorted(one for one in log if one >= start)
    order, taken, place, landed = Order(start), list[int](), start, set[tuple[int, int]]()
    end = max([start, *(one + 1 for one in records)])
    while place < end:
        rest = [one for one in records if one >= place]
        ahead = jumps.pop() if jumps else 0
        there = rest[ahead] if ahead < len(rest) else end
        if ahead and (place, there) in landed:
            there = rest[0]
        landed.add((place, there))
        if not order.takes(there, is_end=there == end):
            place = order.next_offset
        elif there == end:
            break
        else:
            taken.append(there)
            place = there + 1
    assert taken == records


@contextmanager
def member(world: World, consumer: Consumer) -> Iterator[Membership]:
    """The only member of the group, with all partitions taken over."""
    site = Site(world.kafka, world.topics, world.group, PARTITIONS, 30)
    restorer = Restorer(site)
    membership = Membership(consumer, world.topics.quota_commands, restorer)
    membership.subscribe(lambda _: None)
    end = time.monotonic() + 60
    while len(membership.owners) < PARTITIONS and time.monotonic() < end:
        membership.poll(0.02)
        for restored in restorer.finished():
            membership.start(restored)
    try:
        yield membership
    finally:
        restorer.close()
        membership.leave()


@pytest.mark.integration
def test_the_client_is_told_where_to_begin_by_numbers_only(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """And once, when it is known: the broker's word on where "the end" is may come late, and moves it then."""
    monkeypatch.setattr(clients, "Consumer", Watched)
    consumer = clients.member(world.kafka, world.settings())
    assert isinstance(consumer, Watched)
    world.send(reserve("acme", 1))
    with member(world, consumer):
        assert sorted((place.partition, place.offset) for place in consumer.told) == [(0, 0), (1, 0), (2, 0), (3, 0)]


@pytest.mark.integration
@pytest.mark.parametrize("landed", [6, 10])
def test_commands_that_the_client_passes_over_are_read_again(world: World, landed: int) -> None:
    """librdkafka jumps to another offset than it was told, the end itself perhaps: what lies before it comes
    nevertheless, once, in order, and nobody takes the end for reached."""
    consumer = clients.member(world.kafka, world.settings())
    place = TopicPartition(world.topics.quota_commands, PARTITION)
    with capture_logs() as logs, member(world, consumer) as membership:
        world.send(*(reserve("acme", 1) for _ in range(10)))
        consumer.incremental_unassign([place])
        consumer.incremental_assign([TopicPartition(place.topic, place.partition, landed)])
        offsets, end = list[int](), time.monotonic() + 60
        while len(offsets) < 10 and time.monotonic() < end:
            for message in membership.poll(0.02):
                if message.partition() == PARTITION:
                    assert message.error() is None or len(offsets) in {0, 10}
                    offsets += [] if message.error() else [message.offset() or 0]
        assert offsets == list(range(10))
    told = [(one["event"], one["from_offset"], one["to_offset"]) for one in logs if "from_offset" in one]
    assert told == [("commands were passed over; reading them again", 0, landed - 1)]


@pytest.mark.integration
def test_a_log_with_a_hole_is_decided_on(world: World) -> None:
    """Records of a transaction that was rolled back are never seen: who asks after them gets an answer."""
    producer = Producer({**world.kafka.client_config(), "transactional.id": world.group})
    producer.init_transactions(30)
    with closing(producer), world.service(), capture_logs() as logs:
        world.ask(facts("acme", 100), reserve("acme", 10))
        producer.begin_transaction()
        for _ in range(3):
            producer.produce(world.topics.quota_commands, value=b"never seen", partition=PARTITION)
        producer.flush(30)
        producer.abort_transaction(30)
        assert statuses(world.ask(reserve("acme", 90), reserve("acme", 1))) == ["granted", "denied"]
    holes = [one for one in logs if one["event"] == "the log has no commands there"]
    # Three records, and the marker of their end, which the broker may write after the next commands.
    assert sum(hole["to_offset"] - hole["from_offset"] + 1 for hole in holes) in {3, 4}
