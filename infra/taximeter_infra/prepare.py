"""What happens once the stack answers: topics, tables, prices, example plans: every command finds its place."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from taximeter_consumers.clickhouse import connect
from taximeter_consumers.pricing.sync import load_book
from taximeter_consumers.quota.plans.setting_rows import load_shipped_plans
from taximeter_infra.migrate import migrate, single_server
from taximeter_infra.topics import ensure_topics
from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings, TopicSettings

if TYPE_CHECKING:
    from taximeter_infra.stack.plan import StackAddresses


def prepare(addresses: StackAddresses) -> None:
    """Creates what is missing; does nothing where everything is there. Raises Retryable or Misconfigured."""
    ensure_topics(KafkaSettings(bootstrap_servers=addresses.bootstrap_servers), TopicSettings())
    clickhouse = ClickHouseSettings(url=addresses.clickhouse_url)
    migrate(clickhouse, single_server())
    with closing(connect(clickhouse)) as connection:
        load_book(connection)
        load_shipped_plans(connection)
