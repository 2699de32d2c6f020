"""Facts of a root with many levels or transactions, in records of a bounded size.

What a level's usage includes of each transaction comes with that level, in the same record, or after it: what is
visible must never count before the usage that it is in.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from taximeter_schemas.quota.commands import Facts

LEVELS: Final = 200
TRANSACTIONS: Final = 2_000


def parcels(facts: Facts, levels: int = LEVELS, transactions: int = TRANSACTIONS) -> Iterator[Facts]:
    """The same facts in parts of at most that many levels and transactions, to be sent in this order."""
    if len(facts.visible) <= transactions or not facts.levels:
        yield from _by_levels(facts, levels)
        return
    yield from _by_levels(facts.model_copy(update={"visible": {}, "more": True}), levels)
    rest = iter(facts.visible.items())
    alone: dict[str, object] = {"levels": {}, "unavailable": (), "moved_to": {}}
    for left in range(len(facts.visible), 0, -transactions):
        piece = dict(islice(rest, transactions))
        yield facts.model_copy(update={**alone, "visible": piece, "more": left > transactions})


def _by_levels(facts: Facts, levels: int) -> Iterator[Facts]:
    rest = iter(facts.levels.items())
    while piece := dict(islice(rest, levels)):
        yield facts.model_copy(update={"levels": piece})
    if not facts.levels:
        yield facts
