"""What was decided about letters, in ClickHouse: who sent them back or dropped them, when and why.

A row is written after the deed: of a redrive when the broker has acknowledged the records. A crash in between leaves
letters that are sent once more, and the ids of their events collapse. A statement that is repeated writes its rows
again, which replace themselves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from taximeter_consumers.dead_letters.choice import State
from taximeter_schemas.uuid7 import new_event_id

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.dead_letters.letter import Letter

_TABLE: Final = "stored_dead_letter_actions"
# They travel in the URL, whose length servers and proxies bound.
_AT_ONCE: Final = 1_000
_STATES: Final = """
SELECT letter_id, argMax(action, (acted_at, order_id)) FROM stored_dead_letter_actions
WHERE letter_id IN {ids:Array(String)} GROUP BY letter_id
"""
_LOG: Final = """
SELECT order_id, any(action) AS action, min(acted_at) AS began_at, max(acted_at) AS ended_at, any(acted_by) AS acted_by,
    any(why) AS why, toUInt64(count()) AS letters, toUInt64(countIf(edited)) AS edited,
    arraySort(groupUniqArray(reason)) AS reasons, any(dead_letter_topic) AS topic, any(target_topic) AS target_topic,
    arrayMap(place -> concat(toString(place.1), ':', toString(place.2)),
        arraySort(groupArray({most:UInt32})((dead_letter_partition, dead_letter_offset)))) AS places
FROM dead_letter_actions
GROUP BY order_id ORDER BY began_at DESC, order_id DESC LIMIT {limit:UInt32}
"""


@dataclass(frozen=True)
class Order:
    """One command: what it does, who gave it and why. Letters lie in `topic`, and go to `target`, if anywhere."""

    action: State
    by: str
    why: str
    topic: str
    target: str = ""
    order_id: UUID = field(default_factory=new_event_id)


class Memory:
    """How letters stand. Raises Retryable or Misconfigured."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    def states(self, letters: Sequence[Letter]) -> Mapping[str, State]:
        """Those of the letters that are not open, by letter id."""
        ids = [letter.letter_id for letter in letters]
        found: dict[str, State] = {}
        for begin in range(0, len(ids), _AT_ONCE):
            rows = self._clickhouse.rows(_STATES, {"ids": ids[begin : begin + _AT_ONCE]})
            found.update({letter_id: State(action) for letter_id, action in rows})
        return found

    def note(self, order: Order, letters: Sequence[Letter], edited: frozenset[str] = frozenset()) -> None:
        """Remembers what was done with letters; `edited` are the ids of those that were sent with another content."""
        if not letters:
            return
        rows = "\n".join(json.dumps(_row(order, letter, letter.letter_id in edited)) for letter in letters)
        self._clickhouse.execute_with_data(
            f"INSERT INTO {_TABLE} FORMAT JSONEachRow",
            rows.encode(),
            parameters={},
            settings={"async_insert": 0, "input_format_defaults_for_omitted_fields": 1},
        )

    def log(self, limit: int, most_places: int = 1_000) -> list[dict[str, Any]]:
        """The commands, the last first: who, when, why, how many letters of which reasons, and where these lie."""
        return self._clickhouse.records(_LOG, {"limit": limit, "most": most_places})


def _row(order: Order, letter: Letter, edited: bool) -> dict[str, Any]:
    source = letter.source
    return {
        "letter_id": letter.letter_id,
        "order_id": str(order.order_id),
        "action": order.action.value,
        "acted_by": order.by,
        "why": order.why,
        "reason": letter.reason,
        "dead_letter_topic": order.topic,
        "dead_letter_partition": letter.place.partition,
        "dead_letter_offset": letter.place.offset,
        "source_topic": source.topic if source else "",
        "source_partition": source.partition if source else -1,
        "source_offset": source.offset if source else -1,
        "target_topic": order.target,
        "edited": edited,
    }
