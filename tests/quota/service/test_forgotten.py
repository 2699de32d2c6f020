"""A transaction that the broker has given up without telling its partitions: it is ended by whoever takes over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Consumer, IsolationLevel, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from tests.conftest import TopicNames

from taximeter_consumers.quota.service.predecessor import claim_of
from taximeter_consumers.quota.service.promise import PROBED, probe_of
from taximeter_consumers.quota.service.restore import Site, restore
from taximeter_infra.stack.local_stack import LocalStack
from taximeter_infra.stack.plan import StackAddresses, StackPlan
from taximeter_infra.topics import ensure_topics
from taximeter_schemas.settings import KafkaSettings, TopicSettings

pytestmark = pytest.mark.integration
OWNER = "the-owner-before"
NUMBER = 1


def leave_open(kafka: KafkaSettings, topics: TopicSettings, group: str, *, offsets: bool) -> None:
    """As a process that is killed in a checkpoint does: partition claimed, state (and offset) written, no end."""
    place = TopicPartition(topics.quota_commands, NUMBER, 0, claim_of(OWNER, fresh=True))
    with closing(Consumer({**kafka.client_config(), "group.id": group})) as consumer:
        consumer.commit(offsets=[place], asynchronous=False)
        producer = begin(kafka, topics, OWNER, NUMBER)
        if offsets:
            producer.send_offsets_to_transaction([place], consumer.consumer_group_metadata(), 30)


def begin(kafka: KafkaSettings, topics: TopicSettings, transactional_id: str, number: int) -> Producer:
    """A transaction with a record of the state."""
    producer = Producer({**kafka.client_config(), "transactional.id": transactional_id})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topics.quota_state, key=b"k", value=b"v", partition=number)
    producer.flush(30)
    return producer


def forget(transactions: list[Path], *ids: str) -> None:
    """What the coordinator knows of these transactions ends with the first batch about each: that it has none."""
    for log in transactions:
        kept, known = list[bytes](), set[str]()
        for batch in batches(log.read_bytes()):
            named = {one for one in ids if one.encode() in batch} - known
            kept += [batch] if named else []
            known |= named
        if known:
            log.write_bytes(b"".join(kept))
            for index in (*log.parent.glob("*.index"), *log.parent.glob("*.timeindex")):
                index.unlink()


def batches(written: bytes) -> Iterator[bytes]:
    """The batches of a log: eight bytes of offset, four of length, and so many."""
    while len(written) >= 12:
        end = 12 + int.from_bytes(written[8:12], "big")
        yield written[:end]
        written = written[end:]


def open_records(kafka: KafkaSettings, topics: TopicSettings, number: int = NUMBER) -> int:
    """How many records of the state wait for the end of a transaction."""
    admin = AdminClient({**kafka.client_config()})
    place = TopicPartition(topics.quota_state, number)
    ends = [
        admin.list_offsets({place: OffsetSpec.latest()}, isolation_level=level)[place].result().offset
        for level in (IsolationLevel.READ_UNCOMMITTED, IsolationLevel.READ_COMMITTED)
    ]
    return ends[0] - ends[1]


@pytest.mark.parametrize(
    "offsets", [True, pytest.param(False, marks=pytest.mark.long)], ids=["both", "the_state_alone"]
)
def test_a_transaction_that_the_broker_has_forgotten_is_ended(
    local_stack: StackAddresses, tmp_path: Path, topic_names: TopicNames, *, offsets: bool
) -> None:
    """Without it the partition would be taken over never again, or, with an open state, once and not a second time."""
    if local_stack.broker_product != "Apache Kafka":
        pytest.skip("Apache Kafka needs Java, and there is none")
    plan = replace(StackPlan.on_free_ports(tmp_path, "kafka"), clickhouse=local_stack.clickhouse_url).settled()
    topics = topic_names.quota_settings(partitions=2)
    kafka = KafkaSettings(bootstrap_servers=f"127.0.0.1:{plan.kafka_port}", security_protocol="plaintext")
    probe = probe_of(topic_names.group)
    with LocalStack(plan):
        ensure_topics(kafka, topics)
        leave_open(kafka, topics, topic_names.group, offsets=offsets)
        begin(kafka, topics, probe, PROBED)
    forget([*(tmp_path / "kafka" / "data").glob("__transaction_state-*/*.log")], OWNER, probe)
    with LocalStack(plan):
        assert open_records(kafka, topics) > 0
        assert open_records(kafka, topics, PROBED) > 0
        site = Site(kafka, topics, topic_names.group, 2, 30.0)
        found = restore(site, NUMBER, lambda: False)
        assert (found.offset, found.is_fresh) == (0, True)
        assert open_records(kafka, topics) == 0
        # Nobody has claimed this one, but every service that starts looks there whether the broker keeps its word.
        assert restore(site, PROBED, lambda: False).is_fresh
        assert open_records(kafka, topics, PROBED) == 0
