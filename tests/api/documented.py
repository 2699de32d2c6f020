"""The world of docs/api.md and docs/client.md: an account `acme` with a plan, a run `nightly-42` and an invoice, and an
API on a socket, over a real broker, a real ClickHouse and a real quota service."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from pydantic import SecretStr
from tests.api.conformance import KeptOpen
from tests.api.listening import live
from tests.api.use import event
from tests.api.writing import ALL, WORKER_KEY, Writing
from tests.quota.sdk.conftest import AGO
from tests.rollups.database import with_book
from tests.rollups.rows import Sink

from taximeter_consumers.billing import Request, close_periods
from taximeter_consumers.quota.plans import named_level
from taximeter_consumers.quota.plans.assignments import Assignment
from taximeter_consumers.quota.plans.plans import Limit, QuotaPlan
from taximeter_consumers.quota.plans.setting_rows import append
from taximeter_consumers.rollups import tick
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.event import MeterEvent, Outcome
from taximeter_schemas.quota.limits import Window

ACCOUNT, RUN = "acme", "nightly-42"


@dataclass(frozen=True)
class Documented:
    """Where the API listens, and the keys that open it."""

    url: str
    operator: str
    acme: str
    internal: str
    writing: Writing
    document: dict[str, Any]


def use() -> Iterator[MeterEvent]:
    """A run of two nodes, one of which was tried twice."""
    yield event(ACCOUNT, RUN, "fetch", ai=None)
    yield event(ACCOUNT, RUN, "summarise", outcome=Outcome.ERROR, error_message="too long")
    yield event(ACCOUNT, RUN, "summarise", attempt=2, transaction_id="order-7")


@contextmanager
def documented_world(writing: Writing) -> Iterator[Documented]:
    """All of it, in a place of its own: examples that other tests send are of `acme`, too."""
    _fill(writing)
    services = {one.name: getattr(writing.services, one.name) for one in fields(writing.services)}
    settings = writing.services.settings.model_copy(update={"embed_secret": SecretStr(secrets.token_hex(32))})
    # What the site has is closed with the site.
    with live(KeptOpen(**services | {"settings": settings})) as served:
        yield Documented(
            served.url, writing.operator, writing.key(ACCOUNT, ALL), WORKER_KEY, writing, served.app.openapi()
        )


def _fill(writing: Writing) -> None:
    clickhouse = writing.site.clickhouse
    with with_book(writing.site.clickhouse_settings):
        Sink(clickhouse, offset=50_000, batches=5_000).store(list(use()))
    tick(clickhouse)
    close_periods(clickhouse, Request(), datetime(2026, 12, 3, tzinfo=UTC))
    limit = Limit("starter", "tokens", AGO, "total_tokens", Window.MONTH, Decimal(5_000_000))
    given = Assignment(named_level.account(ACCOUNT), AGO + timedelta(seconds=1), "starter")
    append(clickhouse, [QuotaPlan("starter", AGO, "Starter"), limit, given])
    key = writing.key(ACCOUNT)
    assert wait_until(lambda: bool(writing.ask("GET", f"/v1/quota/{ACCOUNT}", key).json().get("standings")), 60)
