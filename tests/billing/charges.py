"""Charges put into the rollup by hand: what a tick would have written."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from taximeter_consumers.clickhouse import ClickHouse

_COLUMNS = (
    "account_id", "quarter", "context", "workflow_id", "provider", "model", "unit", "service_tier", "source",
    "usd_per_unit", "events", "quantity", "cost_usd", "version",
)  # fmt: skip
_versions = itertools.count(1)


@dataclass(frozen=True)
class Used:
    """One row of the rollup. What is billed for it is quantity times price, unless a cost is named."""

    account_id: str = "acme"
    at: datetime = datetime(2026, 10, 5, 9, 15, tzinfo=UTC)
    quantity: Decimal = Decimal(1000)
    usd_per_unit: Decimal = Decimal("0.0000025")
    unit: str = "input_tokens"
    source: str = "priced"
    context: str = "customer"
    workflow_id: str = "triage"
    model: str = "gpt-4.1"
    provider: str = "openai"
    cost_usd: Decimal | None = None
    events: int = 1

    @property
    def cost(self) -> Decimal:
        """What it costs."""
        return self.quantity * self.usd_per_unit if self.cost_usd is None else self.cost_usd

    def row(self, version: int) -> tuple[Any, ...]:
        """The row, in the order of the columns."""
        return (
            self.account_id, self.at, self.context, self.workflow_id, self.provider, self.model, self.unit, "standard",
            self.source, self.usd_per_unit, self.events, self.quantity, self.cost, version,
        )  # fmt: skip


def charge(clickhouse: ClickHouse, *used: Used) -> None:
    """Writes rows; one with the same key replaces the one that was there, as a tick does."""
    put(clickhouse, used)


def put(clickhouse: ClickHouse, used: Iterable[Used]) -> None:
    """The same for any number."""
    version = next(_versions)
    rows = [one.row(version) for one in used]
    if rows:
        clickhouse.insert("stored_charges", _COLUMNS, rows)
