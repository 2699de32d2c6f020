"""Puts events into `stored_events` as the sink does: rows with coordinates, and a line in the ledger for each batch."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from taximeter_consumers.clickhouse import ClickHouse
from taximeter_schemas.event import AiUsage, CodeUsage, HttpUsage, MeterEvent, PluginUsage
from taximeter_schemas.uuid7 import birth_of

EPOCH = datetime(2026, 11, 1, tzinfo=UTC)
_PLAIN = [
    "account_id",
    "user_id",
    "project_id",
    "workflow_id",
    "run_id",
    "parent_run_id",
    "thread_id",
    "transaction_id",
    "context",
    "tags",
    "event_id",
    "occurred_at",
    "kind",
    "node_id",
    "node_type",
    "attempt",
    "agent_name",
    "outcome",
    "memory_breaches",
    "timeout_breaches",
    "breach_reason",
    "executions",
    "duration_us",
    "error_message",
    "provider_metadata",
    "description",
]
_AI = [
    "provider",
    "model",
    "usage_type",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "total_tokens",
    "audio_ms",
    "characters",
    "images",
    "response_id",
    "reported_cost",
    "quality",
    "service_tier",
]


def row_of(event: MeterEvent) -> dict[str, Any]:
    """The columns that come from the event itself."""
    row = {name: getattr(event, name) for name in _PLAIN}
    row |= {name: getattr(event.ai, name) for name in _AI} if event.ai else dict.fromkeys(_AI, 0)
    if event.ai is None:
        row |= dict.fromkeys(("provider", "model", "usage_type", "response_id", "quality", "service_tier"), "")
        row["reported_cost"] = None
    http, plugin, code = event.http or HttpUsage(), event.plugin or PluginUsage(), event.code or CodeUsage()
    row |= {
        "ai_units": event.ai.units if event.ai else {},
        "http_requests": http.requests,
        "http_bytes_out": http.bytes_out,
        "http_bytes_in": http.bytes_in,
        "http_errors": http.errors,
        "plugin_id": plugin.plugin_id,
        "plugin_invocations": plugin.invocations,
        "custom_units": plugin.custom_units,
        "cpu_us": code.cpu_us,
        "max_rss_bytes": code.max_rss_bytes,
        "id_time": birth_of(event.event_id),
    }
    return {name: str(value) if isinstance(value, str) else value for name, value in row.items()}


@dataclass
class Sink:
    """Stores batches in the order in which they are given; earlier batches arrived earlier."""

    clickhouse: ClickHouse
    offset: int = 0
    batches: int = 0

    def store_rows(self, events: Sequence[MeterEvent], *, batch_id: int | None = None) -> tuple[int, datetime]:
        """The rows alone, as a sink leaves them that dies before it writes its ledger."""
        batch_id = batch_id or secrets.randbits(63)
        arrived_at = EPOCH + timedelta(seconds=self.batches)
        self.batches += 1
        rows = []
        for event in events:
            self.offset += 1
            version = 2**64 - 1 - self.offset
            arrival = {
                "kafka_topic": "test",
                "kafka_partition": 0,
                "kafka_offset": self.offset,
                "schema_id": 1,
                "batch_id": batch_id,
                "arrived_at": arrived_at,
                "version": version,
            }
            rows.append(row_of(event) | arrival)
        if rows:
            self.clickhouse.insert("stored_events", list(rows[0]), [list(row.values()) for row in rows])
        return batch_id, arrived_at

    def store(self, events: Sequence[MeterEvent], *, records: int | None = None) -> int:
        """A whole batch; returns its id."""
        first = self.offset + 1
        batch_id, arrived_at = self.store_rows(events)
        self.write_ledger(batch_id, arrived_at, first, len(events) if records is None else records)
        return batch_id

    def write_ledger(self, batch_id: int, arrived_at: datetime, first: int, records: int) -> None:
        """The ledger's line of a batch, stamped by the server's clock."""
        self.clickhouse.execute(
            """
            INSERT INTO stored_ingest_batches
            SELECT 'test', '', 0, {first:Int64}, {first:Int64} + {records:Int64} - 1, {batch_id:UInt64}, 'hash',
                   {records:Int64}, {records:Int64}, 0, fromUnixTimestamp64Milli({arrived:Int64}, 'UTC'), now64(6),
                   'test'
            """,
            {
                "first": first,
                "records": records,
                "batch_id": batch_id,
                "arrived": int(arrived_at.timestamp() * 1000),
            },
        )


__all__ = ["EPOCH", "AiUsage", "Sink", "row_of"]
