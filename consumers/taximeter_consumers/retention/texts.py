"""How long the free texts of raw events are kept: a TTL on their columns. No sum reads them, so none can change.

The engine empties them in merges, a day or so after they are due. A repeated run changes nothing. A table that a shadow
is swapped in for has the setting of the shadow, so it is set again after a swap.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

TEXTS: Final = {
    "error_message": "String",
    "description": "String",
    "breach_reason": "String",
    "thread_id": "String",
    "response_id": "String",
    "provider_metadata": "Map(LowCardinality(String), String)",
}
"""The columns, with their types."""

_TEXT: Final = (
    "SELECT create_table_query FROM system.tables WHERE database = {database:String} AND name = 'stored_events'"
)
_TTL: Final = re.compile(r"`error_message`[^,]*? TTL toDateTime\(arrived_at\) \+ toIntervalDay\((\d+)\)")


def texts_kept_days(clickhouse: ClickHouse) -> int | None:
    """After so many days texts are emptied; None: never."""
    found = _TTL.search(str(clickhouse.scalar(_TEXT, {"database": clickhouse.database})))
    return int(found[1]) if found else None


def keep_texts(clickhouse: ClickHouse, days: int | None) -> None:
    """Sets it. None: for ever. What is older already is emptied in the background."""
    if days == texts_kept_days(clickhouse):
        return
    if days is None:
        changes = [f"MODIFY COLUMN {name} REMOVE TTL" for name in TEXTS]
    else:
        changes = [
            f"MODIFY COLUMN {name} {kind} TTL toDateTime(arrived_at) + INTERVAL {days:d} DAY"
            for name, kind in TEXTS.items()
        ]
    clickhouse.execute(f"ALTER TABLE stored_events {', '.join(changes)}")
