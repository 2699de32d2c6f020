"""What a sink of somebody else's gets to do, from its environment, and what all of these have in common.

A crash ends the benchmark; nothing here is retried. Passwords travel by the environment, never by the command line.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import clickhouse_connect

from bench.sink.columns import SCHEMA_ID

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

BATCH_ROWS = 10_000
BATCH_SECONDS = 1.0
TABLE = "stored_events"


@dataclass(frozen=True)
class Task:
    """Store so many events of this topic in this database, then end."""

    bootstrap_servers: str
    clickhouse_url: str
    database: str
    registry_url: str
    topic: str
    group: str
    events: int

    @classmethod
    def of_environment(cls) -> Task:
        """As `environment` wrote it."""
        given = os.environ
        return cls(
            given["KAFKA_BOOTSTRAP_SERVERS"],
            given["CLICKHOUSE_URL"],
            given["CLICKHOUSE_DATABASE"],
            given["SCHEMA_REGISTRY_URL"],
            given["BENCH_TOPIC"],
            given["BENCH_GROUP"],
            int(given["BENCH_EVENTS"]),
        )

    def environment(self) -> dict[str, str]:
        """For the child."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "CLICKHOUSE_URL": self.clickhouse_url,
            "CLICKHOUSE_DATABASE": self.database,
            "SCHEMA_REGISTRY_URL": self.registry_url,
            "BENCH_TOPIC": self.topic,
            "BENCH_GROUP": self.group,
            "BENCH_EVENTS": str(self.events),
        }

    def clickhouse(self) -> Client:
        """A client of the task's database."""
        parts = urlsplit(self.clickhouse_url)
        return clickhouse_connect.get_client(
            host=parts.hostname or "127.0.0.1",
            port=parts.port or 8123,
            username=unquote(parts.username or "default"),
            password=unquote(parts.password or ""),
            database=self.database,
            autogenerate_session_id=False,
        )

    def schema(self, schema_id: int = SCHEMA_ID) -> dict[str, Any]:
        """The writer's schema, from the registry."""
        with urllib.request.urlopen(f"{self.registry_url}/schemas/ids/{schema_id}") as answer:
            found: dict[str, Any] = json.loads(json.load(answer)["schema"])
        return found


def say_assigned() -> None:
    """One line in the form of the sink's own log, by which the benchmark's clock starts."""
    line = {"event": "partitions assigned", "timestamp": datetime.now(UTC).isoformat()}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
