"""Queries about many names: the names go along as data in the body, as a table `asked` that the query sees.

Nothing is stored. Neither the length of a URL nor that of a statement bounds how many they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import fastavro

from taximeter_schemas.errors import Poison, Retryable

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

_TYPES = {"String": "string", "Int32": "int", "Int64": "long"}


def asked_rows(
    clickhouse: ClickHouse, sql: str, structure: str, rows: Sequence[Sequence[Any]]
) -> list[tuple[Any, ...]]:
    """The rows of `sql`, which reads `rows` as the table `asked` of `structure`, like `name String, number Int32`.

    Raises Retryable."""
    columns = [column.split(" ") for column in structure.split(", ")]
    schema = {
        "type": "record",
        "name": "asked",
        "fields": [{"name": name, "type": _TYPES[kind]} for name, kind in columns],
    }
    body = BytesIO()
    fastavro.writer(
        body,
        fastavro.parse_schema(schema),
        ({name: value for (name, _), value in zip(columns, row, strict=True)} for row in rows),
    )
    try:
        return clickhouse.rows_of_data(sql, "asked", structure, body.getvalue())
    except Poison as error:
        # The data are ours, so it is not they.
        raise Retryable(f"ClickHouse could not read what it was asked about: {error}") from error
