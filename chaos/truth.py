"""What must be there, computed from the journal alone: rows as the table shows them, by the event's identity.

It shares no line with the sink: names and empty values are written down here once more, from what the columns mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from chaos.journal import Entry

Identity = tuple[str, str]
"""(account_id, event_id)."""
Row = Mapping[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEXT: Final = (
    *("account_id", "user_id", "project_id", "workflow_id", "run_id", "parent_run_id", "thread_id", "transaction_id"),
    *("context", "event_id", "kind", "node_id", "node_type", "agent_name", "outcome", "breach_reason"),
    *("error_message", "description"),
)
_NUMBERS: Final = ("attempt", "memory_breaches", "timeout_breaches", "executions", "duration_us")
_MAPS: Final = ("tags", "provider_metadata")
_AI_TEXT: Final = ("provider", "model", "usage_type", "response_id", "quality", "service_tier")
_AI_NUMBERS: Final = (
    *("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "total_tokens"),
    *("audio_ms", "characters", "images"),
)
_HTTP: Final = ("requests", "bytes_out", "bytes_in", "errors")
_CODE: Final = ("cpu_us", "max_rss_bytes")

SUMMED: Final = (
    "executions",
    "memory_breaches",
    "timeout_breaches",
    "duration_us",
    *_AI_NUMBERS,
    *(f"http_{name}" for name in _HTTP),
    "plugin_invocations",
    "cpu_us",
)
"""Counters that add up."""


def row_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """The row that the table must show for an event in plain values. Times are Unix microseconds."""
    ai, http = event.get("ai", {}), event.get("http", {})
    plugin, code = event.get("plugin", {}), event.get("code", {})
    reported = ai.get("reported_cost")
    return {
        **{name: event[name] for name in (*_TEXT, *_NUMBERS)},
        **{name: dict(event[name]) for name in _MAPS},
        "occurred_at": micros(datetime.fromisoformat(event["occurred_at"])),
        "id_time": (UUID(event["event_id"]).int >> 80) * 1_000,
        **{name: ai.get(name, "") for name in _AI_TEXT},
        **{name: ai.get(name, 0) for name in _AI_NUMBERS},
        "ai_units": dict(ai.get("units", {})),
        "reported_cost": None if reported is None else Decimal(reported),
        **{f"http_{name}": http.get(name, 0) for name in _HTTP},
        "plugin_id": plugin.get("plugin_id", ""),
        "plugin_invocations": plugin.get("invocations", 0),
        "custom_units": {unit: Decimal(amount) for unit, amount in plugin.get("custom_units", {}).items()},
        **{name: code.get(name, 0) for name in _CODE},
    }


def micros(moment: datetime) -> int:
    """Unix microseconds, exact; a time without a zone is UTC, as ClickHouse's driver has it."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def expected_rows(entries: Iterable[Entry]) -> dict[Identity, dict[str, Any]]:
    """The rows of all entries that count, by identity."""
    rows: dict[Identity, dict[str, Any]] = {}
    for entry in entries:
        if entry.counts and entry.event is not None:
            row = row_of(entry.event)
            identity = (row["account_id"], row["event_id"])
            if identity in rows:
                raise AssertionError(f"the stream counts {identity} twice")
            rows[identity] = row
    return rows
