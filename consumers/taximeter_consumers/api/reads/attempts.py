"""Attempts of nodes out of their events: by this process for ordinary runs, by the server for large ones.

Both give the same rows; a test holds them together. An attempt that is the only one of its node used and cost what the
node did, which the rollups know; such events need no pricing.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.api.reads.cost_words import cost_source
from taximeter_consumers.api.reads.sql import COST, EXACT, FURTHER, USED, text
from taximeter_consumers.billing.amounts import total
from taximeter_consumers.pricing.charged import charged_events
from taximeter_consumers.rollups.definitions import MEASURES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from taximeter_consumers.api.reads.priced_events import Priced
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.pricing.cards import Book

Row = dict[str, Any]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_GUESSED: Final = frozenset({"estimated", "partial"})
_KNOWN: Final = frozenset({"reported", "priced"})
_MOST_MODELS: Final = 100
_COUNTED: Final = (*USED, "audio_ms", "characters", "images")
# The rule of the rollups' views is applied to what comes back.
_MEASURED: Final = {*USED, *FURTHER, *COST}
_OF_NODE: Final = ("events", "started_at", "ended_at", *USED, *FURTHER, *COST)
WORDS: Final = (
    "run_id, node_id, attempt, id_time, event_id, executions, outcome, agent_name, error_message, breach_reason,"
    " provider, model, usage_type, quality"
)
"""What `only_attempt` looks at, of stored_events."""


def attempts_by_server(clickhouse: ClickHouse, scope: str, where: Mapping[str, Any], book: Book) -> list[Row]:
    """The attempts of the events in `scope`, a condition on stored_events with the parameters `where`."""
    measures = ",\n    ".join(f"{expression} AS {name}" for name, expression in MEASURES if name in _MEASURED)
    sql = text("attempts", measures=measures, events=charged_events(scope, book), settings=EXACT)
    rows = clickhouse.records(sql, where)
    return [
        {**row, "cost_source": cost_source(row), "models": [_named(pair) for pair in row["models"]]} for row in rows
    ]


def attempts_of(events: Iterable[Priced]) -> list[Row]:
    """The attempts of some events, by when they began. Pure."""
    of_attempt: dict[tuple[str, str, int], list[Priced]] = defaultdict(list)
    for event in events:
        of_attempt[event.row["run_id"], event.row["node_id"], event.row["attempt"]].append(event)
    rows = [_attempt(found) for found in of_attempt.values()]
    return sorted(rows, key=lambda row: (row["started_at"], row["run_id"], row["node_id"], row["attempt"]))


def only_attempt(node: Row, events: Sequence[Row]) -> Row:
    """The attempt of a node that has no other one: the words of its events (WORDS), the numbers of the node. Pure."""
    return {**_words(events), **{name: node[name] for name in _OF_NODE}}


def _words(rows: Sequence[Row]) -> Row:
    """Whose attempt it is, and what is not summed up."""
    first = max(rows, key=_order)
    calls = [row for row in rows if row["usage_type"]]
    models = sorted({(row["provider"], row["model"]) for row in calls})[:_MOST_MODELS]
    return {
        **{name: first[name] for name in ("run_id", "node_id", "attempt", "outcome", "agent_name")},
        **{name: _last_said(rows, name) for name in ("error_message", "breach_reason")},
        "models": [_named(pair) for pair in models],
        "qualities": sorted({one["quality"] for one in calls}),
    }


def _last_said(rows: Sequence[Row], name: str) -> Any:
    return max(rows, key=lambda row: (row[name] != "", *_order(row)))[name]


def _attempt(events: Sequence[Priced]) -> Row:
    rows = [event.row for event in events]
    row: Row = {
        **_words(rows),
        "events": len(rows),
        "started_at": min(_began(one) for one in rows),
        "ended_at": max(one["occurred_at"] for one in rows),
        **{name: sum(one[name] for one in rows) for name in _COUNTED},
        "custom_units": _added(one["custom_units"] for one in rows),
        "ai_units": _added(one["ai_units"] for one in rows),
        "max_rss_bytes": max(one["max_rss_bytes"] for one in rows),
        **_cost(events),
    }
    return {**row, "cost_source": cost_source(row)}


def _cost(events: Sequence[Priced]) -> Row:
    sources = [event.model_source for event in events]
    guessed = [event for event in events if event.row["quality"] in _GUESSED]
    return {
        "cost_usd": total(event.cost_usd for event in events),
        "model_cost_usd": total(event.charge.model.cost for event in events),
        "plugin_cost_usd": total(event.charge.plugin.cost for event in events),
        "resource_cost_usd": total(event.charge.resources.cost for event in events),
        "adjusted_cost_usd": total(event.adjusted_usd for event in events),
        "reported_cost_usd": total(event.charge.model.cost for event in events if event.model_source == "reported"),
        "estimated_cost_usd": total(event.charge.model.cost for event in guessed),
        "ai_calls": sum(1 for event in events if event.row["usage_type"]),
        **{f"{word}_calls": sources.count(word) for word in ("reported", "priced", "unpriced", "unmeasured")},
        "estimated_calls": sum(1 for event in guessed if event.model_source in _KNOWN),
        "plugin_uses": sum(1 for event in events if event.plugin_source != "none"),
        "unpriced_plugins": sum(1 for event in events if event.plugin_source == "unpriced"),
    }


def _order(row: Row) -> tuple[Any, ...]:
    """As the server orders: of UUIDs the second half counts first."""
    number = row["event_id"].int
    return row["executions"], row["id_time"], number & (2**64 - 1), number >> 64


def _began(row: Row) -> datetime:
    began: datetime = row["occurred_at"] - timedelta(microseconds=max(row["duration_us"], 0))
    return max(began, _EPOCH)


def _added(maps: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Units of several events, each with its sum."""
    units: dict[str, list[Any]] = defaultdict(list)
    for one in maps:
        for unit, amount in one.items():
            units[unit].append(amount)
    return {
        unit: total(found) if isinstance(found[0], Decimal) else sum(found) for unit, found in sorted(units.items())
    }


def _named(pair: Any) -> Row:
    provider, model = pair
    return {"provider": provider, "model": model}
