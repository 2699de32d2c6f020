"""The columns of exports, and how each form writes them. Names are those of the tables, so files and SQL agree.

CSV is opened by spreadsheets, and names come from events, which anybody may send: a text that would be a formula gets
an apostrophe before it. Numbers are as they are, exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from taximeter_consumers.api.models.export import Dataset, ExportForm, RollupName
from taximeter_consumers.rollups.definitions import ROLLUPS

_TEXTS: Final = frozenset(
    {
        "account_id", "run_id", "user_id", "project_id", "workflow_id", "parent_run_id", "context", "node_id",
        "node_type", "provider", "model", "usage_type", "quality", "unit", "service_tier", "source", "agent_name",
        "outcome", "thread_id", "transaction_id", "plugin_id", "response_id", "invoice_id", "invoice_period",
        "status", "kind", "period", "reference", "text", "breach_reason", "cost_source", "event_id",
    }
)  # fmt: skip
_MAPS: Final = {
    "custom_units": "Map(String, Decimal(38, 9))",
    "ai_units": "Map(String, Int64)",
    "tags": "Map(String, String)",
}
_AMOUNTS: Final = {
    "cost": "cost_usd",
    "model_cost": "model_cost_usd",
    "plugin_cost": "plugin_cost_usd",
    "resource_cost": "resource_cost_usd",
    "adjusted_cost": "adjusted_cost_usd",
}
"""Of priced events, and what exports call them."""
_USAGE: Final = (
    "event_id", "occurred_at", "account_id", "user_id", "project_id", "workflow_id", "run_id", "parent_run_id",
    "thread_id", "transaction_id", "context", "tags", "kind", "node_id", "node_type", "attempt", "agent_name",
    "outcome", "memory_breaches", "timeout_breaches", "breach_reason", "executions", "duration_us", "provider",
    "model", "usage_type", "service_tier", "quality", "input_tokens", "output_tokens", "cache_read_tokens",
    "cache_write_tokens", "reasoning_tokens", "total_tokens", "audio_ms", "characters", "images", "ai_units",
    "http_requests", "http_bytes_out", "http_bytes_in", "http_errors", "plugin_id", "plugin_invocations",
    "custom_units", "cpu_us", "max_rss_bytes", *_AMOUNTS, "cost_source",
)  # fmt: skip
_LINES: Final = (
    "number", "invoice_id", "account_id", "invoice_period", "status", "issued_at", "line_number", "kind", "period",
    "workflow_id", "provider", "model", "unit", "service_tier", "source", "usd_per_unit", "events", "quantity",
    "amount_usd", "reference", "text",
)  # fmt: skip
# A tab or a line's end may hide what follows; some programs take the full-width signs for the plain ones.
_FORMULA: Final = r"^[\\s\\x00]*[=+\\-@＝＋－＠]"


@dataclass(frozen=True)
class Table:
    """What is exported: a view, its columns, the column of its time, and its order."""

    view: str
    columns: Sequence[str]
    time: str
    order: str


_TIMES: Final = {
    "run_costs": "started_at",
    "node_costs": "started_at",
    "model_costs": "hour",
    "usage_by_subject": "minute",
    "charges": "quarter",
}
_ROLLUPS: Final = {
    rollup.name: Table(
        rollup.name,
        [*(name for name, _ in rollup.columns), *([] if rollup.name == "charges" else ["cost_source"])],
        _TIMES[rollup.name],
        ", ".join(name for name, _ in rollup.key),
    )
    for rollup in ROLLUPS
    if rollup.name in _TIMES
}
USAGE: Final = Table("", _USAGE, "occurred_at", "account_id, id_time, event_id")
INVOICES: Final = Table("invoice_lines", _LINES, "issued_at", "number, line_number")


def table_of(dataset: Dataset, rollup: RollupName) -> Table:
    """The table that answers."""
    if dataset is Dataset.USAGE:
        return USAGE
    return INVOICES if dataset is Dataset.INVOICES else _ROLLUPS[rollup.value]


def selected(table: Table, form: ExportForm) -> str:
    """The columns as the form writes them."""
    return ",\n    ".join(f"{_expression(name, form)} AS {_AMOUNTS.get(name, name)}" for name in table.columns)


def _expression(name: str, form: ExportForm) -> str:
    source = f"exported.{name}"
    if name in _MAPS:
        whole = f"CAST({source}, '{_MAPS[name]}')"
        return f"toJSONString({whole})" if form is ExportForm.CSV else whole
    if name in _TEXTS:
        return harmless(f"toString({source})") if form is ExportForm.CSV else f"toString({source})"
    return f"CAST({source}, 'Decimal(38, 18)')" if name in _AMOUNTS else source


def harmless(text: str) -> str:
    """A text that no spreadsheet takes for a formula, as SQL."""
    return f"if(match({text}, '{_FORMULA}'), concat('\\'', {text}), {text})"


FORMATS: Final[Mapping[ExportForm, tuple[str, str]]] = {
    ExportForm.CSV: ("CSVWithNames", "text/csv; charset=utf-8; header=present"),
    ExportForm.JSONL: ("JSONEachRow", "application/jsonl; charset=utf-8"),
    ExportForm.PARQUET: ("Parquet", "application/vnd.apache.parquet"),
}
"""Form -> (the server's format, the media type)."""

OPTIONS: Final[Mapping[str, str | int]] = {
    "date_time_output_format": "iso",
    "output_format_json_quote_decimals": 1,
    "output_format_json_quote_64bit_integers": 0,
    "output_format_parquet_compression_method": "zstd",
    # The server holds one group of rows of each column in memory.
    "output_format_parquet_row_group_size": 50_000,
    "output_format_parquet_string_as_string": 1,
}
"""How the server writes them."""
