"""Sums of usage: from the rollups where they keep what is asked for, else from the events themselves.

Both give the same numbers, but for what came after the last tick, which only the events know.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.api.reads.sql import EXACT, text
from taximeter_consumers.pricing.charged import charged_events
from taximeter_consumers.queries import Filter, usage_summary
from taximeter_consumers.rollups.definitions import MEASURES

if TYPE_CHECKING:
    from taximeter_consumers.api.reads.books import Books
    from taximeter_consumers.api.reads.usage_filter import UsageAsked
    from taximeter_consumers.clickhouse import ClickHouse

Row = dict[str, Any]
MOST_MODELS: Final = 1_000
_MEASURED: Final = (
    "executions", "ai_calls", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens",
    "reasoning_tokens", "total_tokens", "cost_usd", "estimated_cost_usd", "unpriced_calls", "unmeasured_calls",
    "unpriced_plugins",
)  # fmt: skip


@dataclass(frozen=True)
class Sums:
    """One row of everything, one for each model and context."""

    total: Row
    by_model: list[Row]
    by_context: list[Row]


def usage_sums(clickhouse: ClickHouse, books: Books, asked: UsageAsked) -> Sums:
    """The sums of all usage that the filter covers."""
    return _of_rollups(clickhouse, asked) if _is_kept(asked) else _of_events(clickhouse, books, asked)


def _is_kept(asked: UsageAsked) -> bool:
    """Whether the rollups have it: whole hours, and no filter but the account."""
    only_account = set(asked.equals) <= {"account_id"} and asked.external_id is None
    return only_account and all(_is_whole(moment) for moment in (asked.since, asked.until))


def _is_whole(moment: datetime | None) -> bool:
    return moment is None or not (moment.minute or moment.second or moment.microsecond)


def _of_rollups(clickhouse: ClickHouse, asked: UsageAsked) -> Sums:
    found = usage_summary(clickhouse, Filter(asked.equals.get("account_id"), asked.since, asked.until))
    return Sums(found.total, found.by_model[:MOST_MODELS], found.by_context)


def _of_events(clickhouse: ClickHouse, books: Books, asked: UsageAsked) -> Sums:
    book = books.current(clickhouse).book
    measures = ",\n    ".join(f"{expression} AS {name}" for name, expression in MEASURES if name in _MEASURED)
    sql = text("usage_sums", measures=measures, events=charged_events(asked.condition, book), settings=EXACT)
    rows = clickhouse.records(sql, asked.parameters)
    whole = [row for row in rows if row["of_models"] and row["of_contexts"]]
    models = [
        # What a plugin or the executor used beside a call is not the model's.
        {**row, "cost_usd": row["models_cost_usd"], "unpriced_plugins": 0}
        for row in rows
        if not row["of_models"] and row["ai_calls"]
    ]
    models.sort(key=lambda row: (-row["cost_usd"], row["provider"], row["model"]))
    return Sums(whole[0], models[:MOST_MODELS], [row for row in rows if not row["of_contexts"]])
