"""Reads an archived topic as if it were the topic: the same ranges, the same messages, the same order.

Each file is held against its digest before anything of it is handed on, so damage is told and never replayed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from taximeter_consumers.archive import manifest as manifests
from taximeter_consumers.archive.files import read_part
from taximeter_consumers.replay.topic_range import Found, Span, TopicRange, chosen_partitions, resolve
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from taximeter_consumers.archive.manifest import ArchivedPart
    from taximeter_consumers.archive.message import ArchivedMessage

_AT_ONCE: Final = 2_000


def in_batches(messages: Iterable[ArchivedMessage]) -> Iterator[list[ArchivedMessage]]:
    """The messages, some thousands at a time."""
    rest = iter(messages)
    while batch := list(islice(rest, _AT_ONCE)):
        yield batch


class ArchiveReader:
    """One archived topic: the folder with its manifest. Raises Misconfigured where there is none."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._manifest = manifests.load(folder)
        self.topic = self._manifest.topic
        self.log = self._manifest.log
        self.partitions = self._manifest.partitions

    def close(self) -> None:
        """Nothing is held open."""

    def spans(self, wanted: TopicRange) -> list[Span]:
        """What `wanted` means in this archive, one span for each chosen partition."""
        found = []
        for partition in chosen_partitions(wanted, self.partitions):
            parts = self._manifest.of_partition(partition)
            low, high = (parts[0].first, parts[-1].last + 1) if parts else (0, 0)
            since = self._offset_at(parts, wanted.since)
            until = self._offset_at(parts, wanted.until)
            found.append(resolve(wanted, partition, Found(low, high, since, until)))
        return found

    def batches(self, spans: Sequence[Span]) -> Iterator[list[ArchivedMessage]]:
        """The messages of the spans, partition by partition, some thousands at a time."""
        for span in spans:
            yield from in_batches(self._messages(span))

    def read(self, spans: Sequence[Span]) -> Iterator[ArchivedMessage]:
        """The same one by one."""
        for batch in self.batches(spans):
            yield from batch

    def _messages(self, span: Span) -> Iterator[ArchivedMessage]:
        expected = span.first
        for part in self._manifest.of_partition(span.partition):
            if part.last < span.first or part.first >= span.end:
                continue
            self._check(part)
            for message in read_part(self._folder / part.path, self.topic, span.partition):
                # Files may overlap after an archive was written twice; each offset is handed on once.
                if expected <= message.at_offset < span.end:
                    expected = message.at_offset + 1
                    yield message

    def _check(self, part: ArchivedPart) -> None:
        path = self._folder / part.path
        try:
            found = manifests.digest(path)
        except OSError as error:
            raise Misconfigured(
                f"{path} is in the manifest and cannot be read: {error.strerror}",
                mend="restore the file from a copy, or leave its offsets out with --from-offset and --to-offset",
            ) from error
        if found != part.sha256:
            raise Misconfigured(
                f"{path} is not what was archived: its SHA-256 is another one than the manifest's",
                mend="restore the file from a copy, or leave its offsets out with --from-offset and --to-offset",
            )

    def _offset_at(self, parts: Sequence[ArchivedPart], moment: datetime | None) -> int | None:
        if moment is None:
            return None
        millis = int(moment.timestamp() * 1000)
        for part in parts:
            if part.last_ms >= millis:
                self._check(part)
                path = self._folder / part.path
                within = (one.at_offset for one in read_part(path, self.topic, part.partition) if one.at_ms >= millis)
                return next(within, part.last + 1)
        return None
