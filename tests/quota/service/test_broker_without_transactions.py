"""A broker that does not keep what transactions promise is refused, with the mend."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from tests.conftest import TopicNames

from taximeter_consumers.quota.service.service import QuotaEnvironment, run_service
from taximeter_consumers.quota.service.settings import QuotaSettings
from taximeter_infra.stack.local_stack import LocalStack
from taximeter_infra.stack.plan import StackPlan
from taximeter_infra.topics import ensure_topics
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings, TopicSettings

pytestmark = pytest.mark.integration


def test_a_broker_that_shows_what_was_rolled_back_is_refused(tmp_path: Path) -> None:
    """Tansu takes every call of a transaction and keeps nothing of it; the message says what to use instead."""
    with LocalStack(StackPlan.on_free_ports(tmp_path, broker="tansu")) as stack:
        kafka = KafkaSettings(bootstrap_servers=stack.addresses.bootstrap_servers, security_protocol="plaintext")
        topics = TopicSettings(partitions=1, quota_partitions=1)
        ensure_topics(kafka, topics)
        clickhouse = ClickHouseSettings(url=stack.addresses.clickhouse_url)
        with pytest.raises(Misconfigured, match="rolled back") as refused:
            run_service(QuotaEnvironment(kafka, clickhouse, topics), QuotaSettings(), threading.Event())
    assert "Java 17 and Maven" in refused.value.mend


def test_state_and_commands_must_have_as_many_partitions(
    kafka_settings: KafkaSettings, topic_names: TopicNames
) -> None:
    """Topics that do not fit are refused before anything is decided."""
    topics = topic_names.quota_settings(2)
    ensure_topics(kafka_settings, topics.model_copy(update={"quota_commands": f"{topics.quota_commands}.other"}))
    ensure_topics(kafka_settings, topics.model_copy(update={"quota_partitions": 3}))
    environment = QuotaEnvironment(kafka_settings, ClickHouseSettings(), topics)
    with pytest.raises(Misconfigured, match=r"has 3 partitions and .* has 2"):
        run_service(environment, QuotaSettings(group_id=topic_names.group), threading.Event())


def test_a_missing_topic_is_named_with_its_mend(kafka_settings: KafkaSettings, topic_names: TopicNames) -> None:
    """Whoever starts the service too early reads which command to run first."""
    environment = QuotaEnvironment(kafka_settings, ClickHouseSettings(), topic_names.quota_settings(2))
    with pytest.raises(Misconfigured, match="does not exist") as refused:
        run_service(environment, QuotaSettings(group_id=topic_names.group), threading.Event())
    assert "taximeter topics create" in refused.value.mend
