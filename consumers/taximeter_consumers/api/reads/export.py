"""Exports: one query, read from the server as it is taken, in blocks; sorted on the server's disk where that is large.

This process holds one block at a time, however much is exported. Where the server fails after the first block the
reader's call raises, and what was sent is no whole answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.api.models.export import Dataset, ExportForm, RollupName
from taximeter_consumers.api.reads.export_columns import FORMATS, OPTIONS, USAGE, selected, table_of
from taximeter_consumers.api.reads.sql import EXACT
from taximeter_consumers.api.reads.usage_filter import UsageAsked, bare
from taximeter_consumers.pricing.charged import charged_events
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.pricing.cards import Book

BLOCK: Final = 64 * 1024
# What the server appends where it fails in the middle of an answer.
_EXCEPTION: Final = b"__exception__"


@dataclass(frozen=True)
class Export:
    """What is exported: `asked` has the account and the time, and for usage the further filters."""

    dataset: Dataset
    form: ExportForm
    asked: UsageAsked
    rollup: RollupName = RollupName.USAGE_BY_SUBJECT


def export_sql(export: Export, book: Book) -> tuple[str, dict[str, Any]]:
    """The query and its parameters."""
    table = table_of(export.dataset, export.rollup)
    if table is USAGE:
        source, where, settings = f"({charged_events(export.asked.condition, book)})", "true", f" SETTINGS {EXACT}"
        parameters = export.asked.parameters
    else:
        source, settings = table.view, ""
        where, parameters = _of_view(export.asked, table.time)
    order = ", ".join(f"exported.{name.strip()}" for name in table.order.split(","))
    sql = f"SELECT\n    {selected(table, export.form)}\nFROM {source} AS exported\nWHERE {where}\nORDER BY {order}"
    return sql + settings, parameters


def blocks(clickhouse: ClickHouse, export: Export, book: Book) -> Iterator[bytes]:
    """The file, block by block. Raises Retryable and Misconfigured, at any block."""
    sql, parameters = export_sql(export, book)
    with clickhouse.stream(sql, parameters, OPTIONS, FORMATS[export.form][0]) as read:
        tail = b""
        while block := read(BLOCK):
            tail = tail[-len(_EXCEPTION) :] + block
            if export.form is not ExportForm.PARQUET and _failed(tail):
                raise Retryable("ClickHouse failed in the middle of an export")
            tail = block[-len(_EXCEPTION) :]
            yield block


def _failed(text: bytes) -> bool:
    """Whether the server's mark of a failure stands at the beginning of a line, where no row of ours begins so."""
    return b"\n" + _EXCEPTION in text


def _of_view(asked: UsageAsked, time: str) -> tuple[str, dict[str, Any]]:
    conditions = ["true"]
    if "account_id" in asked.equals:
        conditions.append("exported.account_id = {account_id:String}")
    values: dict[str, Any] = dict(asked.equals)
    if asked.since is not None:
        conditions.append(f"exported.{time} >= {{since:DateTime64(6, 'UTC')}}")
        values["since"] = bare(asked.since)
    if asked.until is not None:
        conditions.append(f"exported.{time} < {{until:DateTime64(6, 'UTC')}}")
        values["until"] = bare(asked.until)
    return " AND ".join(conditions), values
