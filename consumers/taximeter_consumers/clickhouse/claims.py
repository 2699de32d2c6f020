"""Rows of which the first one counts, however many processes write at once: a compare-and-swap in ClickHouse.

Of several inserts into one table with one deduplication token the engine keeps the first and drops the others, and says
nothing. So whoever wants to be first inserts under the token of the place, then reads who is there. A server that dies
may have noted a token without keeping its row; then nobody is there, and the next token of the place is tried. A claim
that comes after its token was forgotten is stored, but does not count: the tables' `version` lets the first one win.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypeVar

from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from taximeter_consumers.clickhouse import ClickHouse

T = TypeVar("T")

_ATTEMPTS: Final = 8


def first_row(
    clickhouse: ClickHouse, table: str, token: str, row: Mapping[str, Any], read: Callable[[], T | None]
) -> T:
    """Inserts `row` (column to JSON value) at the place that `token` names, and returns what `read` then finds there:
    the row, or the one of whoever was first. Raises Retryable; to call it again is safe."""
    for attempt in range(1, _ATTEMPTS + 1):
        _insert(clickhouse, table, token if attempt == 1 else f"{token}-{attempt}", row)
        found = read()
        if found is not None:
            return found
    raise Retryable(f"{table} shows no row after {_ATTEMPTS} inserts; look at the server's log")


def _insert(clickhouse: ClickHouse, table: str, token: str, row: Mapping[str, Any]) -> None:
    clickhouse.execute_with_data(
        f"INSERT INTO {table} ({', '.join(row)}) FORMAT JSONEachRow",
        json.dumps(row, ensure_ascii=False).encode(),
        parameters={},
        settings={
            "insert_deduplicate": 1,
            "insert_deduplication_token": token,
            "async_insert": 0,
            "date_time_input_format": "best_effort",
            "input_format_defaults_for_omitted_fields": 1,
        },
    )
