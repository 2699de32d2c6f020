"""A decoded event as a row for `client.insert`, as the Python sinks of this benchmark need it. Pure.

Imported by programs that run with other libraries' versions, so it needs nothing but the standard library. It is meant
to be quick: the getters are made once, and a row costs a few C-level calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from bench.sink import columns

_EMPTY: Mapping[str, Any] = {"long": 0, "int": 0, "string": "", "enum": "", "map": {}, "null": None}
_SIXTY_FOUR = 2**64 - 1
_PLACE = 2**22 - 1


class Rows:
    """Makes rows of one schema, in the order of `names`."""

    def __init__(self, schema: Mapping[str, Any], topic: str) -> None:
        self.names = columns.columns(schema)
        self._topic = topic
        self._steps = _steps(schema)

    def row(self, event: Mapping[str, Any], partition: int, offset: int, arrived_ms: int) -> list[Any]:
        """The row of an event at these coordinates; `arrived_ms` is the broker's time, Unix milliseconds."""
        made: list[Any] = []
        for group, getter, empty in self._steps:
            record = event if group is None else event[group]
            made += empty if record is None else getter(record)
        born = datetime.fromtimestamp((event["event_id"].int >> 80) / 1000, UTC)
        arrived = datetime.fromtimestamp(arrived_ms / 1000, UTC)
        version = ~((arrived_ms << 22) | (offset & _PLACE)) & _SIXTY_FOUR
        made += (born, self._topic, partition, offset, columns.SCHEMA_ID, 0, arrived, version)
        return made


def _steps(schema: Mapping[str, Any]) -> list[tuple[str | None, Callable[[Any], tuple[Any, ...]], tuple[Any, ...]]]:
    """Neighbouring fields of one record together: where they stand, how to get them, what they are when it is null."""
    steps: list[tuple[str | None, list[str], list[Any]]] = []
    for group, field, avro in columns.paths(schema).values():
        if not steps or steps[-1][0] != group:
            steps.append((group, [], []))
        steps[-1][1].append(field)
        steps[-1][2].append(_EMPTY[columns.kind_of(avro)])
    return [(group, itemgetter(*fields), tuple(empty)) for group, fields, empty in steps]
