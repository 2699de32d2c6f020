"""One, two and four sinks of one group on the same partitions.

The backlog is written in one Kafka transaction while the sinks already have their partitions and rest; the commit makes
all of it readable at once, and the clock runs from there until all is stored. So start-up and joining are not in it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from bench.sink import backlog as filling
from bench.sink.rounds import Backlog, await_rows, last_part, require_equal
from bench.sites import PATIENCE_SECONDS, open_site, require_alive
from taximeter_consumers.kafka_client import QUIET
from taximeter_infra.stack.child import Child
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.sites import Site

_TRANSACTION_MS = 600_000
_STABLE = "STABLE"


def seconds(backlog: Backlog, messages: list[filling.Message], name: str, sinks: int) -> float:
    """How long that many sinks take. Raises Retryable."""
    topics = filling.topics_of(backlog.addresses, f"bench.{backlog.mark}.{name}", backlog.topics.partitions)
    producer = Producer(
        {
            **filling.kafka_of(backlog.addresses).client_config(),
            **filling.PRODUCER,
            "transactional.id": f"{topics.events}.fill",
            "transaction.timeout.ms": _TRANSACTION_MS,
        },
        logger=QUIET,
    )
    with open_site(f"bench_{backlog.mark}_{name}", backlog.addresses, topics) as site:
        try:
            producer.init_transactions(60)
            producer.begin_transaction()
            filling.produce(producer, messages, topics.events, len(messages))
            producer.flush(120)
            children = _start(site, sinks, topics.partitions)
            began = time.time()
            producer.commit_transaction(60)
        except KafkaException as error:
            raise Retryable(f"the backlog cannot be written in a transaction: {error.args[0].name()}") from error
        await_rows(site, backlog.expected, lambda: require_alive(*children))
        require_equal(site, backlog.expected, coordinates=False)
        for child in children:
            child.stop()
        return last_part(site)[0] - began


def _start(site: Site, sinks: int, partitions: int) -> list[Child]:
    """Sinks of one group that have shared the partitions among them."""
    children = [site.start("sink", "--group", site.name) for _ in range(sinks)]
    admin = AdminClient({**site.kafka.client_config()}, logger=QUIET)

    def shared() -> bool:
        require_alive(*children)
        return is_shared(_assignments(admin, site.name), min(sinks, partitions), partitions)

    if not wait_until(shared, PATIENCE_SECONDS):
        raise Retryable(f"{sinks} sinks do not share the partitions; look at {site.logs}")
    return children


def is_shared(assignments: Sequence[int], busy: int, partitions: int) -> bool:
    """Whether that many members have partitions, and together all of them."""
    return sum(assignments) == partitions and sum(1 for one in assignments if one) == busy


def _assignments(admin: AdminClient, group: str) -> list[int]:
    """How many partitions each member has; empty while the group is still sharing them out."""
    try:
        found = admin.describe_consumer_groups([group])[group].result()
    except KafkaException:
        return []
    if found.state.name != _STABLE:
        return []
    return [len(member.assignment.topic_partitions) for member in found.members]
