"""What the truth is asked about: events that are stored and rolled up, plans that are assigned, and one Truth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.rollups.calls import calls
from tests.rollups.database import with_book
from tests.rollups.rows import EPOCH, Sink

from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.quota.plans.assignments import Assignment, Membership
from taximeter_consumers.quota.plans.named_level import level_of
from taximeter_consumers.quota.plans.plans import Limit, QuotaPlan, limit_id_of
from taximeter_consumers.quota.plans.setting_rows import append, load_shipped_plans
from taximeter_consumers.quota.truth.known import Known
from taximeter_consumers.quota.truth.truth import Truth
from taximeter_consumers.rollups import tick
from taximeter_schemas.quota.commands import Facts
from taximeter_schemas.quota.limits import Window
from taximeter_schemas.settings import ClickHouseSettings

START = datetime(2020, 1, 1, tzinfo=UTC)
NOON = EPOCH + timedelta(hours=12, minutes=3)
"""When facts are asked for; the first day of November 2026."""


def micros(moment: datetime) -> int:
    """Unix microseconds."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


NOW = micros(NOON)
DAY = micros(EPOCH)
"""When the day and the month of `NOW` begin."""


def limit(meter: str, window: Window, amount: Any, level: str = "", plan: str = "p", **more: Any) -> Limit:
    """A limit of a plan that holds from ever."""
    most = None if amount is None else Decimal(amount)
    return Limit(plan, limit_id_of(level, meter, window), START, meter, window, most, level=level, **more)


@dataclass
class World:
    """One database and one truth over it."""

    clickhouse: ClickHouse
    sink: Sink
    truth: Truth
    known: dict[str, Known] = field(default_factory=dict)

    def plan(self, *limits: Limit, multiplier: str = "1", plan_id: str = "p") -> None:
        """A plan with limits, from ever."""
        append(self.clickhouse, [*limits, QuotaPlan(plan_id, START, plan_id.upper(), Decimal(multiplier))])

    def assign(self, key: str, plan_id: str = "p", at: datetime = START) -> None:
        """Gives a level a plan."""
        append(self.clickhouse, [Assignment(level_of(key), at, plan_id)])

    def join(self, account_id: str, organisation_id: str, at: datetime = START) -> None:
        """Puts an account into an organisation."""
        append(self.clickhouse, [Membership(account_id, at, organisation_id)])

    def use(self, count: int = 1, **fields: Any) -> None:
        """Stores calls of models a minute apart, each of one node execution, and works them in."""
        self.sink.store(calls(count, **{"executions": 1, **fields}))
        tick(self.clickhouse)

    def facts(self, root: str, levels: Iterable[str], transactions: Iterable[str] = (), now: int = NOW) -> Facts:
        """What is known at once."""
        return self.truth.facts_for(root, tuple(levels), tuple(transactions), now)

    def look(self, now: int = NOW) -> dict[str, Facts]:
        """A tick over all that is known, by root."""
        return {facts.root: facts for facts in self.truth.changed(self.known, lambda _root: True, now)}

    def names(self, root: str, *levels: str, transactions: Iterable[str] = ()) -> None:
        """Says what the machine knows of a root."""
        self.known[root] = Known(frozenset({root, *levels}), frozenset(transactions))


@contextmanager
def opened(settings: ClickHouseSettings) -> Iterator[World]:
    """A world over an empty database."""
    with with_book(settings) as clickhouse:
        load_shipped_plans(clickhouse)
        yield World(clickhouse, Sink(clickhouse), Truth(clickhouse))
