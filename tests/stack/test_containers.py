"""The container fixtures: the same servers as images, for those who have Docker."""

from __future__ import annotations

import pytest

from taximeter_infra.stack.clickhouse_http import Endpoint
from taximeter_infra.stack.kafka_probe import group_coordinator_answers, look
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings

pytestmark = pytest.mark.docker


def test_kafka_container(container_kafka: KafkaSettings) -> None:
    """The Kafka image comes up as one broker that serves consumer groups."""
    cluster = look(container_kafka, 10)
    assert cluster is not None
    assert cluster.brokers == 1
    assert wait_until(lambda: group_coordinator_answers(container_kafka), 30)


def test_clickhouse_container(container_clickhouse: ClickHouseSettings) -> None:
    """The ClickHouse image lets the owner in by its URL."""
    answer = Endpoint.of_url(container_clickhouse.url.get_secret_value()).ask("SELECT 1", 10)
    assert (answer.ok, answer.text) == (True, "1")
