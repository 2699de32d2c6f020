"""The place of a measurement: servers that all of them share, and for each a database and consumer group of its own.

What holds: the children run under wardens and end with the block that started them, and with this process however it
ends; a site's database is dropped, merges and all, before the next one is made.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taximeter_consumers.clickhouse import ClickHouse, connect
from taximeter_consumers.pricing.sync import load_book
from taximeter_infra.migrate import migrate, single_server
from taximeter_infra.stack.child import Child, ChildSpec
from taximeter_infra.topics import ensure_topics
from taximeter_schemas.errors import Retryable
from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings, TopicSettings

if TYPE_CHECKING:
    from pathlib import Path

    from taximeter_infra.stack.plan import StackAddresses

BEAT_SECONDS = 0.05
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Site:
    """One database with its tables and prices, and the topic that its sink reads."""

    name: str
    addresses: StackAddresses
    topics: TopicSettings
    clickhouse: ClickHouse
    held: ExitStack

    @property
    def logs(self) -> Path:
        """Where the children's logs are."""
        return self.addresses.data_dir / "bench" / self.name

    @property
    def kafka(self) -> KafkaSettings:
        """How to reach the broker."""
        return KafkaSettings(bootstrap_servers=self.addresses.bootstrap_servers)

    def start(self, command: str, *options: str) -> Child:
        """Starts a command of `taximeter` on this site; it ends with the site at the latest."""
        argv = (sys.executable, "-m", "taximeter_infra", command, *options)
        environment = {
            **self.addresses.environment(),
            **topic_environment(self.topics),
            "CLICKHOUSE_DATABASE": self.name,
        }
        child = Child.start(ChildSpec(command, argv, self.logs / f"{command}.log", environment=environment))
        self.held.callback(child.stop)
        return child

    def stored(self) -> int:
        """Records in the sink's ledger, which is cheap to ask often."""
        return int(self.clickhouse.scalar("SELECT sum(records) FROM ingest_batches"))


def topic_environment(topics: TopicSettings) -> dict[str, str]:
    """The settings as environment variables."""
    return {f"TAXIMETER_TOPIC_{name.upper()}": str(value) for name, value in topics.model_dump().items()}


def bench_topics(name: str, addresses: StackAddresses) -> TopicSettings:
    """Topics of that name, created."""
    topics = TopicSettings(events=f"bench.{name}", dead_letters=f"bench.{name}.dlq")
    ensure_topics(KafkaSettings(bootstrap_servers=addresses.bootstrap_servers), topics)
    return topics


@contextmanager
def open_site(name: str, addresses: StackAddresses, topics: TopicSettings) -> Iterator[Site]:
    """A site with fresh tables; at the end its children are stopped and its database is dropped."""
    settings = ClickHouseSettings(url=addresses.clickhouse_url, database=name)
    migrate(settings, single_server())
    with ExitStack() as held:
        clickhouse = held.enter_context(closing(connect(settings)))
        load_book(clickhouse)
        held.callback(clickhouse.execute, f"DROP DATABASE IF EXISTS `{name}` SYNC")
        with ExitStack() as children:
            yield Site(name, addresses, topics, clickhouse, children)


def require_alive(*children: Child) -> None:
    """Raises Retryable with the end of its log when a child has failed; one that ended well is no failure."""
    for child in children:
        if child.exit_code:
            raise Retryable(f"{child.spec.name} ended with code {child.exit_code}:\n{child.tail()}")
