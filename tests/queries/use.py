"""Use of three days by two accounts: models, a plugin and CPU time; retried, failed and cancelled attempts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from random import Random

import pytest
from tests.databases import Databases
from tests.rollups.database import with_book
from tests.rollups.rows import EPOCH, Sink

from taximeter_consumers.clickhouse import ClickHouse, connect
from taximeter_consumers.pricing.book import append_rates, server_time
from taximeter_consumers.pricing.rate import Rate
from taximeter_consumers.reprice import Order, rerate
from taximeter_consumers.rollups import tick
from taximeter_schemas.event import AiUsage, CodeUsage, MeterEvent, Outcome, PluginUsage, Quality
from taximeter_schemas.settings import ClickHouseSettings
from taximeter_schemas.uuid7 import compose

MODELS = [("openai", "gpt-4o"), ("openai", "o3"), ("anthropic", "claude-3-5-haiku-20241022"), ("house", "llm-1")]
EVENTS = 400


def events() -> Iterator[MeterEvent]:
    """The events, always the same."""
    random = Random(11)
    for number in range(EVENTS):
        provider, model = random.choice(MODELS)
        call = AiUsage(
            provider=provider,
            model=model,
            input_tokens=random.randrange(10**6),
            output_tokens=random.randrange(10**5),
            quality=random.choice([Quality.REPORTED, Quality.ESTIMATED, Quality.PARTIAL, Quality.MISSING]),
            reported_cost=random.choice([None, None, Decimal("0.000000000001")]),
        )
        pages = PluginUsage(plugin_id=random.choice(["ocr", "unheard-of"]), custom_units={"page": random.randrange(9)})
        yield MeterEvent(
            account_id=f"acme-{number % 2}",
            run_id=f"run-{number % 50}",
            workflow_id=f"flow-{number % 3}",
            project_id=random.choice(["", "red"]),
            user_id=f"user-{number % 4}",
            context=random.choice(["customer", "customer", "system"]),
            node_id=f"node-{number % 7}",
            attempt=random.choice([1, 1, 2]),
            outcome=random.choice([Outcome.SUCCESS, Outcome.ERROR, Outcome.CANCELLED]),
            event_id=compose(int(EPOCH.timestamp() * 1000) + number * 600_000, random.randbytes(10)),
            occurred_at=EPOCH + timedelta(minutes=10 * number),
            duration_us=1_500_000,
            ai=random.choice([call, call, None]),
            plugin=random.choice([pages, None, None]),
            code=random.choice([CodeUsage(cpu_us=random.randrange(10**6), max_rss_bytes=number), None]),
        )


def fill(clickhouse: ClickHouse) -> None:
    """Stores and rolls up the events, then re-rates what models, plugins and CPU time cost on the second day."""
    Sink(clickhouse).store(list(events()))
    tick(clickhouse)
    now = server_time(clickhouse)
    dearer = [
        Rate("openai", "gpt-4o", "input_tokens", Decimal("0.000007"), source="test", known_from=now),
        Rate("plugin", "ocr", "page", Decimal("0.013"), source="test", known_from=now),
        Rate("resource", "", "cpu_us", Decimal("0.000000003"), source="test", known_from=now),
    ]
    append_rates(clickhouse, dearer)
    tick(clickhouse)
    second_day = Order(EPOCH + timedelta(days=1), EPOCH + timedelta(days=2), by="ada", reason="dearer")
    assert rerate(clickhouse, second_day).reprice_id


@pytest.fixture(scope="module")
def filled_settings(databases: Databases) -> Iterator[ClickHouseSettings]:
    """How to reach a database with all of it; the tests of a module share it, and only read."""
    with databases.borrowed() as settings:
        with with_book(settings) as clickhouse:
            fill(clickhouse)
        yield settings


@pytest.fixture
def filled(filled_settings: ClickHouseSettings) -> Iterator[ClickHouse]:
    """A connection to it."""
    with closing(connect(filled_settings)) as clickhouse:
        yield clickhouse


__all__ = ["EVENTS", "events", "fill", "filled", "filled_settings"]
