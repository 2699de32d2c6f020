"""Whether the log still holds what a batch held: its content hash, made anew from the records. Pure but for messages.

Memory holds the values of the batches that the current offset lies in: one batch, or as many as overlap there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taximeter_consumers.sink.batch import Batch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taximeter_consumers.audit.tiling import Entry


class ContentCheck:
    """Takes all records of a partition from `log_first` on, in order, and holds them against the ledger's batches.

    `entries` come by first offset. Batches that begin before `log_first` cannot be made anew; they are counted.
    """

    def __init__(self, topic: str, partition: int, entries: Iterable[Entry], log_first: int) -> None:
        self._topic = topic
        self._partition = partition
        self._entries = iter(entries)
        self._next = next(self._entries, None)
        self._open: list[tuple[Entry, list[int], list[bytes | None]]] = []
        self._log_first = log_first
        self.verified = 0
        self.gone = 0
        self.different: list[Entry] = []

    def take(self, offset: int, value: bytes | None) -> None:
        """The next record."""
        self._begin_up_to(offset)
        self._end_before(offset)
        for _, offsets, values in self._open:
            offsets.append(offset)
            values.append(value)

    def finish(self, end: int) -> None:
        """No record comes any more; batches that begin at `end` or later are not looked at."""
        self._begin_up_to(end - 1)
        self._end_before(None)

    def _begin_up_to(self, offset: int) -> None:
        while self._next is not None and self._next.first <= offset:
            if self._next.first < self._log_first:
                self.gone += 1
            else:
                self._open.append((self._next, [], []))
            self._next = next(self._entries, None)

    def _end_before(self, offset: int | None) -> None:
        if not any(offset is None or entry.last < offset for entry, _, _ in self._open):
            return
        still_open = []
        for entry, offsets, values in self._open:
            if offset is not None and entry.last >= offset:
                still_open.append((entry, offsets, values))
            elif values and self._hash(offsets, values) == entry.content_hash and len(values) == entry.records:
                self.verified += 1
            else:
                self.different.append(entry)
        self._open = still_open

    def _hash(self, offsets: list[int], values: list[bytes | None]) -> str:
        return Batch(
            topic=self._topic, partition=self._partition, offsets=offsets, values=values, arrivals=()
        ).content_hash
