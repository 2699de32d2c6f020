"""A broker that drops the metadata of commits: the sink finds out, and cuts where a successor will cut too."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.conftest import TopicNames
from tests.sink.conftest import Pipeline
from tests.sink.records import events, value_of

from taximeter_consumers.clickhouse import connect
from taximeter_infra.migrate import migrate, single_server
from taximeter_infra.stack.local_stack import LocalStack
from taximeter_infra.stack.plan import StackPlan
from taximeter_infra.topics import ensure_topics
from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings

pytestmark = pytest.mark.integration


def test_batches_are_aligned_where_metadata_is_dropped(data_dir: Path, topic_names: TopicNames) -> None:
    """On Tansu the sink says so after its first commit; from then on batches begin at multiples; the sums are right."""
    made = events(900, seed=61)
    with LocalStack(StackPlan.on_free_ports(data_dir, "tansu")) as stack:
        kafka = KafkaSettings(bootstrap_servers=stack.addresses.bootstrap_servers, security_protocol="plaintext")
        clickhouse = ClickHouseSettings(url=stack.addresses.clickhouse_url, database="aligned")
        topics = topic_names.settings(partitions=1)
        ensure_topics(kafka, topics)
        migrate(clickhouse, single_server())
        with closing(connect(clickhouse)) as connection:
            pipeline = Pipeline(kafka, clickhouse, topics, topic_names.group, connection)
            pipeline.produce([value_of(event) for event in made])
            with capture_logs() as lines:
                pipeline.run(pipeline.settings(batch_rows=150, aligned_rows=100))
            assert [line for line in lines if "drops the metadata" in str(line["event"])]
            assert pipeline.sums()[:2] == (900, 900)
            firsts = [first for (first,) in connection.rows("SELECT first_offset FROM ingest_batches ORDER BY 1")]
            # Up to three were cut before the first commit's answer was looked at.
            assert len(firsts) > 5
            assert {first % 100 for first in firsts[4:]} == {0}
