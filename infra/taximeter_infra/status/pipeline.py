"""The pipeline to look at: where its servers are, and a look at all of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from taximeter_infra.status.facts import Facts, Letters, Spool
from taximeter_infra.status.kafka_eyes import KafkaEyes
from taximeter_infra.status.lookout import Ask, Lookout
from taximeter_infra.status.service_eyes import ask
from taximeter_infra.status.stored_eyes import StoredEyes
from taximeter_infra.topics import wanted

if TYPE_CHECKING:
    from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings, TopicSettings

_START_KAFKA: Final = "start it (`taximeter up` on one machine), or look at KAFKA_BOOTSTRAP_SERVERS"
_START_CLICKHOUSE: Final = "start it (`taximeter up` on one machine), or look at CLICKHOUSE_URL"
_BUSY_KAFKA: Final = "look again; if it stays, look at the brokers' load and logs, and at what this user may do"
_BUSY_CLICKHOUSE: Final = "look again; if it stays, see what ClickHouse is at: SELECT * FROM system.processes"
_NO_SERVICE: Final = "start it, or leave it out of TAXIMETER_STATUS_SERVICES"


@dataclass(frozen=True)
class Whereabouts:
    """All that is looked at. `services`: HOST:PORT of metrics endpoints."""

    kafka: KafkaSettings
    clickhouse: ClickHouseSettings
    topics: TopicSettings
    sink_group: str
    quota_group: str
    spool: Path | None = None
    services: Sequence[str] = ()


class Pipeline:
    """Looks at one pipeline, again and again over the same connections."""

    def __init__(self, where: Whereabouts) -> None:
        """Raises Misconfigured for settings that a client refuses. Connects to nothing yet."""
        # Whoever is named twice is asked once.
        self._services = list(dict.fromkeys(where.services))
        self._stored = StoredEyes(where.clickhouse)
        kafka, topics = KafkaEyes(where.kafka), where.topics
        probes: dict[str, Ask] = {
            "cluster": partial(kafka.cluster, [spec.name for spec in wanted(topics)]),
            "sink": partial(kafka.group, where.sink_group, topics.events),
            "quota": partial(kafka.group, where.quota_group, topics.quota_commands),
            "letters": partial(_letters, kafka, self._stored, topics.dead_letters),
            "server": self._stored.server,
            "tables": self._stored.tables,
            "stored": partial(self._stored.stored, topics.events),
            "costs": self._stored.costs,
            "rebuilding": self._stored.rebuilding,
        }
        if where.spool is not None:
            probes["spool"] = partial(_spool, where.spool)
        probes |= {f"service {place}": partial(ask, place, time.time) for place in self._services}
        # What is told of the others is told where the server itself answers.
        mends = {"cluster": _START_KAFKA, "server": _START_CLICKHOUSE}
        mends |= dict.fromkeys(("sink", "quota", "letters"), _BUSY_KAFKA)
        mends |= dict.fromkeys(("tables", "stored", "costs", "rebuilding"), _BUSY_CLICKHOUSE)
        mends |= {f"service {place}": _NO_SERVICE for place in self._services}
        self._lookout = Lookout(probes, mends)

    def look(self) -> Facts:
        """What there is to see now; within three seconds, whoever is away."""
        found: dict[str, Any] = self._lookout.look()
        services = [found.pop(f"service {place}") for place in self._services]
        return Facts(at=time.monotonic(), services=services, **found)

    def close(self) -> None:
        """Lets go of the connections that nobody is using."""
        if not self._lookout.busy:
            self._stored.close()


def _letters(kafka: KafkaEyes, stored: StoredEyes, topic: str) -> Letters:
    """What Kafka has, less what ClickHouse knows to be decided."""
    found = kafka.letters(topic)
    return replace(found, decided=stored.decided(topic, found.firsts)) if found.records else found


def _spool(path: Path) -> Spool:
    from taximeter.spool.status import read_status

    found = read_status(path)
    oldest = None if found.oldest is None else (datetime.now(UTC) - found.oldest).total_seconds()
    return Spool(str(path), found.records, found.living_records, found.damaged_bytes + found.corrupt_bytes, oldest)
