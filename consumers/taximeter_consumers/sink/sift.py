"""Finding the bad records of a batch that the engine refused.

First each record's frame says which schema it was written with; records of one schema go together. What Python cannot
read is set aside: about 20 microseconds a record, only where the engine has refused. If the engine still refuses, the
group is halved until each bad record stands alone. The engine has the last word, so what becomes of a record never
depends on its neighbours; Python finds most of the bad ones sooner and names the reasons.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from taximeter_schemas import frame
from taximeter_schemas.codec import decode_body, read_body
from taximeter_schemas.errors import Poison

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastavro.types import Schema

    from taximeter_schemas.registry import Registry


@dataclass
class Sifted:
    """A batch's records by what becomes of them: indices by schema id, and the bad ones with their reasons."""

    groups: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    bad: dict[int, Poison] = field(default_factory=dict)


def by_schema(values: Sequence[bytes | None]) -> Sifted:
    """Groups records by the schema id of their frames; what has no frame is bad."""
    sifted = Sifted()
    for index, value in enumerate(values):
        try:
            schema_id, _ = frame.split(value)
        except Poison as poison:
            sifted.bad[index] = poison
        else:
            sifted.groups[schema_id].append(index)
    return sifted


def unreadable(values: Sequence[bytes | None], indices: Sequence[int], writer: Schema) -> dict[int, Poison]:
    """Which of `indices` do not follow the schema from the first byte to the last, and why.

    Text that is not UTF-8 is left to the engine, which minds it in some fields and not in others.
    """
    bad: dict[int, Poison] = {}
    for index in indices:
        try:
            read_body((values[index] or b"")[frame.HEADER_SIZE :], writer, lenient_text=True)
        except Poison as poison:
            bad[index] = poison
    return bad


def refused_ones(indices: Sequence[int], refuses: Callable[[Sequence[int]], bool]) -> list[int]:
    """Which of `indices` are bad, given that all of them together are refused.

    A half that is taken is good as a whole. Where both halves are taken the refusal cannot be pinned to a record, and
    none is named.
    """
    if len(indices) == 1:
        return list(indices)
    middle = len(indices) // 2
    bad: list[int] = []
    for half in (indices[:middle], indices[middle:]):
        if refuses(half):
            bad.extend(refused_ones(half, refuses))
    return bad


def reason(value: bytes | None, registry: Registry) -> Poison:
    """Why the engine refused this record, as well as Python can tell."""
    try:
        schema_id, body = frame.split(value)
        writer = registry.schema(schema_id)
        read_body(body, writer)
        decode_body(body, writer)
    except Poison as poison:
        return poison
    return Poison("refused", "ClickHouse refuses the record, though it follows its schema")
