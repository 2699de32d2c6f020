"""A site where events and quotas are real: topics, a database and a quota service of its own, and the API over them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, TopicPartition
from starlette.testclient import TestClient
from tests.api.new_key import new_key
from tests.quota.sdk.conftest import Site

from taximeter_consumers.api.app import create_app
from taximeter_consumers.api.event_sender import KafkaEventSender
from taximeter_consumers.api.keys import ALL_ACCOUNTS, Scope
from taximeter_consumers.api.services import Services, services_of
from taximeter_consumers.api.settings import ApiSettings
from taximeter_schemas.codec import decode
from taximeter_schemas.event import MeterEvent
from taximeter_schemas.registry import PackagedRegistry
from taximeter_schemas.settings import KafkaSettings

ALL = frozenset(Scope)
WORKER_KEY = "the-workers-own-secret"
SETTINGS: Mapping[str, Any] = {
    "key_cache_seconds": 600,
    "simulate": True,
    "simulations_a_minute": 5,
    "internal_key": WORKER_KEY,
}


@dataclass
class Writing:
    """The API, and how to see what it wrote."""

    site: Site
    services: Services
    client: TestClient
    operator: str

    def key(self, account: str, scopes: frozenset[Scope] = frozenset({Scope.INGEST, Scope.READ})) -> str:
        """A key of an account."""
        return new_key(self.site.clickhouse, account, scopes)

    def ask(self, method: str, path: str, key: str, **more: Any) -> Any:
        """One request; `json`, `params`, `headers`."""
        headers = {"Authorization": f"Bearer {key}", **more.pop("headers", {})}
        return self.client.request(method, path, headers=headers, **more)

    def events(self) -> list[MeterEvent]:
        """All that is in the log, in the order of its partitions."""
        return list(events_in(self.site.kafka, self.site.topics.events))

    def events_of(self, account: str) -> list[MeterEvent]:
        """Those of one account."""
        return [event for event in self.events() if event.account_id == account]


def services_at(site: Site, **more: Any) -> Services:
    """The services of an API at a site."""
    return services_of(
        site.clickhouse_settings,
        ApiSettings(**{**SETTINGS, **more}),
        events=KafkaEventSender(site.kafka, site.topics.events, PackagedRegistry()),
        quota=site.client(answer_seconds=5),
    )


@contextmanager
def writing_at(site: Site, **more: Any) -> Iterator[Writing]:
    """The API over a site."""
    services = services_at(site, **more)
    with TestClient(create_app(services), raise_server_exceptions=False) as client:
        yield Writing(site, services, client, new_key(site.clickhouse, ALL_ACCOUNTS, ALL))


def events_in(kafka: KafkaSettings, topic: str) -> Iterator[MeterEvent]:
    """The events of a topic as it is now."""
    consumer = Consumer({**kafka.client_config(), "group.id": secrets.token_hex(4), "enable.auto.commit": False})
    try:
        for number in sorted(consumer.list_topics(topic, timeout=10).topics[topic].partitions):
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)
            consumer.assign([TopicPartition(topic, number, low)])
            for _ in range(high - low):
                (message,) = consumer.consume(1, timeout=10)
                yield decode(message.value(), PackagedRegistry())
    finally:
        consumer.close()
