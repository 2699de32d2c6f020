"""How long the free texts of raw events are kept: a TTL on their columns. No sum reads them, so none can change.

The engine empties them in merges, a day or so after they are due. A repeated run changes nothing. A table that a shadow
is swapped in for has the setting of the shadow, so it is set again after a swap.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from taximeter_consumers.retention.orders import ANNOUNCED, DONE, Order, note

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
_DUE: Final = f"""
SELECT count() FROM stored_events
WHERE toDateTime(arrived_at) + toIntervalDay({{days:UInt32}}) <= now()
    AND ({" OR ".join(f"notEmpty({name})" for name in TEXTS)})
"""  # noqa: S608 - our own names


def texts_kept_days(clickhouse: ClickHouse) -> int | None:
    """After so many days texts are emptied; None: never."""
    found = _TTL.search(str(clickhouse.scalar(_TEXT, {"database": clickhouse.database})))
    return int(found[1]) if found else None


def is_shorter(days: int | None, than: int | None) -> bool:
    """Whether texts that would be kept are emptied: for fewer days, or no longer for ever (None)."""
    return days is not None and (than is None or days < than)


def texts_due(clickhouse: ClickHouse, days: int | None) -> int:
    """How many rows would lose texts at once."""
    return 0 if days is None else int(clickhouse.scalar(_DUE, {"days": days}))


def keep_texts(clickhouse: ClickHouse, days: int | None, by: str) -> None:
    """Sets it, and records who did. None: for ever. What is older already is emptied in the background."""
    if days == texts_kept_days(clickhouse):
        return
    order = Order(by, texts_days=days or 0)
    note(clickhouse, order, ANNOUNCED)
    if days is None:
        changes = [f"MODIFY COLUMN {name} REMOVE TTL" for name in TEXTS]
    else:
        changes = [
            f"MODIFY COLUMN {name} {kind} TTL toDateTime(arrived_at) + INTERVAL {days:d} DAY"
            for name, kind in TEXTS.items()
        ]
    clickhouse.execute(f"ALTER TABLE stored_events {', '.join(changes)}")
    note(clickhouse, order, DONE)
