"""Sums of what lies a while back, kept so that a look reads only the last minutes of an account.

A window that began long ago is a head, whose sum is kept, and a tail, which is read at every look. The head of an
account holds until a row in it changes, until something is asked that it has no sum of, or for ten minutes; then both
are read anew, and the tail begins later. Memory is disposable: without it everything is read. It is told of changes
before it is asked, and reads afterwards, so what a head has was there before the changes it does not know.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from taximeter_consumers.quota.truth.usage import Part, Values, read_usage, sums_of
from taximeter_schemas.quota.limits import MINUTE, Span

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

# What is older seldom changes: events are rolled up within seconds, and those of a spool are few.
_TAIL: Final = 15 * MINUTE
_HOLDS: Final = 10 * MINUTE
# More accounts than this are not remembered at once.
_MOST: Final = 100_000


@dataclass(frozen=True)
class _Head:
    """The sums of one account up to `cut`, in `meters`, as they were at `read_at` (Unix microseconds)."""

    cut: int
    read_at: int
    meters: frozenset[str]
    sums: Mapping[Part, Values]


class Heads:
    """The heads of many accounts."""

    def __init__(self) -> None:
        self._heads: dict[str, _Head] = {}

    def changed(self, since: Mapping[str, int]) -> None:
        """By account, when the earliest minute begins (Unix microseconds) whose rows have changed."""
        for account_id, minute in since.items():
            head = self._heads.get(account_id)
            if head is not None and minute < head.cut:
                del self._heads[account_id]

    def read(
        self, clickhouse: ClickHouse, parts: Iterable[Part], meters: Iterable[str], now: int, as_of: int
    ) -> dict[Part, Values]:
        """As `read_usage`. `now` is the time by which parts were chosen, `as_of` the server's. Raises Retryable."""
        wanted: defaultdict[str, set[Part]] = defaultdict(set)
        for part in parts:
            wanted[part.level.account_id].add(part)
        names, cut = frozenset(meters), now - now % MINUTE - _TAIL
        known = {name: self._heads[name] for name in wanted if self._has(name, wanted[name], names, as_of)}
        # Apart, so that whoever is known costs no more than a tail beside one who is not.
        news = [one for name in wanted if name not in known for part in wanted[name] for one in _cut(part, cut)]
        tails = [_cut(part, head.cut)[-1] for name, head in known.items() for part in _beyond(wanted[name], head.cut)]
        read = {**read_usage(clickhouse, news, names), **read_usage(clickhouse, tails, names)}
        made = {name: _head(wanted[name], cut, read, names, as_of) for name in wanted if name not in known}
        if len(self._heads) + len(made) > _MOST:
            self._heads.clear()
        self._heads |= made
        found: dict[Part, Values] = {}
        for name, of_account in wanted.items():
            head = known.get(name) or made[name]
            for part in of_account:
                values = [head.sums.get(one) or read.get(one, {}) for one in _cut(part, head.cut)]
                found[part] = sums_of(values)
        return {part: values for part, values in found.items() if values}

    def _has(self, account_id: str, parts: Iterable[Part], meters: frozenset[str], as_of: int) -> bool:
        head = self._heads.get(account_id)
        return (
            head is not None
            and as_of < head.read_at + _HOLDS
            and meters <= head.meters
            and all(_cut(part, head.cut)[0] in head.sums for part in parts if part.span.starts_at < head.cut)
        )


def _cut(part: Part, cut: int) -> list[Part]:
    """A part before and after `cut`; whole where it lies on one side of it."""
    begin, end = part.span.starts_at, part.span.ends_at
    if not begin < cut < end:
        return [part]
    spans = (Span(starts_at=begin, ends_at=cut), Span(starts_at=cut, ends_at=end))
    return [Part(part.level, span) for span in spans]


def _beyond(parts: Iterable[Part], cut: int) -> Iterable[Part]:
    return (part for part in parts if part.span.ends_at > cut)


def _head(parts: Iterable[Part], cut: int, read: Mapping[Part, Values], meters: frozenset[str], as_of: int) -> _Head:
    """What was read up to `cut`, also where that is nothing."""
    before = [_cut(part, cut)[0] for part in parts if part.span.starts_at < cut]
    return _Head(cut, as_of, meters, {part: read.get(part, {}) for part in before})
