"""What a sink takes up of its predecessors' work, from the commits of the partitions that it was given. Pure.

A bundle is rebuilt whole when all of its partitions come to this sink at once, as after a restart: the engine then
recognises it. Where they come to different sinks each owner stores its own slices alone, after asking ClickHouse
whether they are there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from taximeter_consumers.sink.intent import Intent, Standing


@dataclass(frozen=True)
class Rebuild:
    """A bundle to cut again; `torn` where it is a piece of one whose other slices went to other sinks."""

    intent: Intent
    torn: bool


class Trouble(Enum):
    """Why a committed offset is not simply where reading goes on."""

    ANOTHER_LOG = "the topic was deleted and made anew: its offsets begin again, and what lay in the old one is gone"
    SKIPPED = "the group's offset was set past records that are in no batch: they will not be stored"
    SET_BACK = "the group's offset was set back: what is stored already is read again and collapses"


@dataclass(frozen=True)
class Start:
    """Where reading begins; None: at the beginning of the log."""

    offset: int | None
    trouble: Trouble | None = None


def start_of(standing: Standing, log: str, stored_to: int | None) -> Start:
    """Where a partition is read from. `log` is the log's identity now, `stored_to` the last offset in the ledger."""
    if standing.offset < 0:
        return Start(None)
    if standing.log and log and standing.log != log:
        return Start(None, Trouble.ANOTHER_LOG)
    # Its own commit needs no second opinion; one by an operator's hand gets it.
    if standing.log is None and stored_to is not None and standing.offset != stored_to + 1:
        return Start(standing.offset, Trouble.SKIPPED if standing.offset > stored_to + 1 else Trouble.SET_BACK)
    return Start(standing.offset)


def to_rebuild(standings: Mapping[int, Standing]) -> list[Rebuild]:
    """The bundles to cut again, of each partition in the order of its offsets."""
    rebuilt: dict[Rebuild, None] = {}
    for number, standing in sorted(standings.items()):
        for intent in standing.intents:
            whole = all(one.partition in standings and intent in standings[one.partition].intents for one in intent)
            own = tuple(one for one in intent if one.partition == number)
            rebuilt[Rebuild(intent, torn=False) if whole else Rebuild(own, torn=True)] = None
    return list(rebuilt)


def without(rebuilds: Iterable[Rebuild], gone: Container[int]) -> list[Rebuild]:
    """What is still to be rebuilt when some partitions are gone: of a bundle with one of them, the other pieces."""
    left = []
    for rebuild in rebuilds:
        staying = tuple(one for one in rebuild.intent if one.partition not in gone)
        pieces = [Rebuild((one,), torn=True) for one in staying]
        left.extend([rebuild] if staying == rebuild.intent else pieces)
    return left
