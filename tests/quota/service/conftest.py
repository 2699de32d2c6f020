"""Topics with four partitions, an empty database, and nobody who decides yet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.conftest import TopicNames
from tests.quota.service.world import PARTITIONS, World

from taximeter_consumers.clickhouse import connect
from taximeter_consumers.quota.plans.setting_rows import load_shipped_plans
from taximeter_infra.migrate import migrate, single_server
from taximeter_infra.topics import ensure_topics
from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings


@pytest.fixture
def world(
    kafka_settings: KafkaSettings, clickhouse_settings: ClickHouseSettings, topic_names: TopicNames
) -> Iterator[World]:
    """Where the test's commands go."""
    topics = topic_names.quota_settings(PARTITIONS)
    ensure_topics(kafka_settings, topics)
    migrate(clickhouse_settings, single_server())
    with closing(connect(clickhouse_settings)) as clickhouse:
        load_shipped_plans(clickhouse)
        made = World(kafka_settings, clickhouse_settings, topics, topic_names.group, clickhouse)
        yield made
        made.close()
