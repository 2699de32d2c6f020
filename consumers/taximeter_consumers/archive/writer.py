"""Archiving: what the shelf lacks of a topic is read, cut into files by hour, written, and listed.

A file counts once the manifest lists it. Killed at any point, the same call goes on after what is listed and writes
what was in hand again; a file that nobody lists may be left, which nobody reads. To do it again adds nothing. Memory
holds the messages of one file. The log's identity is kept: another log under the same name is refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from taximeter_consumers import failpoints
from taximeter_consumers.archive.manifest import Format, Manifest
from taximeter_consumers.archive.tiling import Limits, cut, ripe, uncovered
from taximeter_consumers.replay.topic_range import Span, TopicRange
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from datetime import datetime

    from taximeter_consumers.archive.shelf import Shelf
    from taximeter_consumers.replay.pace import Pace
    from taximeter_consumers.replay.source import Source

_SAVE_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Job:
    """How files are made, how fast, who is told how far it is, and when to stop early (between two files)."""

    form: Format = "avro"
    limits: Limits = field(default_factory=Limits)
    pace: Pace | None = None
    on_progress: Callable[[int], None] = lambda _: None
    stopped: Callable[[], bool] = lambda: False


@dataclass
class Archived:
    """What was written."""

    files: int = 0
    messages: int = 0
    bytes: int = 0


@dataclass
class _Listing:
    """The manifest as it grows; saved now and then, because it is written as a whole."""

    shelf: Shelf
    manifest: Manifest
    _saved_at: float = field(default_factory=time.monotonic)
    _dirty: bool = False

    def add(self, manifest: Manifest) -> None:
        self.manifest, self._dirty = manifest, True
        if time.monotonic() - self._saved_at >= _SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        if self._dirty:
            self.shelf.save(self.manifest)
            self._saved_at, self._dirty = time.monotonic(), False


def admitted(shelf: Shelf, topic: str, log: str, ends: Mapping[int, int]) -> Manifest:
    """The manifest to go on with; `ends` are the log's now. Raises Misconfigured for the archive of another log."""
    mend = "archive it below another --to"
    manifest = (shelf.load() or Manifest(topic=topic)).of_log(topic, log, shelf.where, mend)
    for partition in sorted(manifest.partitions & ends.keys()):
        last = max(part.last for part in manifest.of_partition(partition))
        if last >= ends[partition]:
            raise Misconfigured(
                f"{shelf.where} reaches to offset {last} of partition {partition}, and the topic ends at"
                f" {ends[partition]}: it is another log of the name",
                mend=mend,
            )
    return manifest


def lacking(manifest: Manifest, spans: Sequence[Span]) -> list[Span]:
    """What of the spans the archive does not have."""
    return [one for span in spans for one in uncovered(span, manifest.of_partition(span.partition))]


def ripe_spans(source: Source, spans: Sequence[Span], hour: datetime, rows: int) -> list[Span]:
    """What of the spans a service archives now; `hour` is when the current one began."""
    chosen = frozenset(span.partition for span in spans)
    if not chosen:
        return []
    begins = {span.partition: span.end for span in source.spans(TopicRange(chosen, until=hour))}
    return [one for span in spans if not (one := ripe(span, begins[span.partition], rows)).is_empty]


def archive(source: Source, shelf: Shelf, manifest: Manifest, spans: Sequence[Span], job: Job) -> Archived:
    """Writes what is asked, partition by partition. Raises what the source and the shelf raise; what is listed stays.

    The shelf must be locked by the caller."""
    done, listing = Archived(), _Listing(shelf, manifest)
    try:
        for span in spans:
            for chunk in cut(source.read([span]), span, job.limits):
                written = shelf.write(span.partition, chunk.messages, job.form)
                failpoints.reached("archive.written")
                part = written.model_copy(update={"first": chunk.first, "last": chunk.end - 1})
                listing.add(listing.manifest.with_parts([part]))
                failpoints.reached("archive.listed")
                done.files, done.bytes = done.files + 1, done.bytes + part.size
                done.messages += part.rows
                job.on_progress(done.messages)
                if job.pace is not None:
                    job.pace.at(done.messages)
                if job.stopped():
                    return done
    finally:
        listing.save()
    return done
