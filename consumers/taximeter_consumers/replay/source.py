"""What a replay reads: a topic, an archive or files, all asked in the same words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from taximeter_consumers.archive import manifest as manifests
from taximeter_consumers.archive.reader import ArchiveReader
from taximeter_consumers.replay.event_files import EventFiles
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from taximeter_consumers.archive.message import ReadMessage
    from taximeter_consumers.replay.topic_range import Span, TopicRange
    from taximeter_schemas.registry import Registry


class Source(Protocol):
    """`topic` names it; `partitions` are those that it has."""

    topic: str
    partitions: frozenset[int]

    def spans(self, wanted: TopicRange, /) -> list[Span]:
        """What `wanted` means here, one span for each chosen partition."""

    def batches(self, spans: Sequence[Span], /) -> Iterator[Sequence[ReadMessage]]:
        """Every message of the spans in the order of each partition; each batch is of one partition."""

    def read(self, spans: Sequence[Span], /) -> Iterator[ReadMessage]:
        """The same one by one."""

    def close(self) -> None:
        """Lets go of what is held."""


def open_archive(paths: Sequence[Path], registry: Registry) -> ArchiveReader | EventFiles:
    """One folder of an archived topic, or some files. Raises Misconfigured for what is neither."""
    folders = [path for path in paths if path.is_dir()]
    if not folders:
        return EventFiles(paths, registry)
    if len(paths) > 1:
        raise Misconfigured(
            "an archive is one folder, and more was named", mend="give one folder, or files only, with --from-archive"
        )
    folder = folders[0]
    if not (folder / manifests.NAME).exists():
        below = sorted(path.parent for path in folder.glob(f"*/{manifests.NAME}"))
        if len(below) == 1:
            folder = below[0]
        elif below:
            named = ", ".join(path.name for path in below)
            raise Misconfigured(
                f"{folder} holds several archived topics ({named})", mend="name the folder of one of them"
            )
    return ArchiveReader(folder)
