"""Whether an archive is what its manifest says: files with their digests, ranges without a hole, rows in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from taximeter_consumers.archive import manifest as manifests
from taximeter_consumers.archive.files import read_part
from taximeter_consumers.archive.manifest import ArchivedPart, Manifest
from taximeter_consumers.archive.shelf import FolderShelf, copy_file
from taximeter_consumers.archive.tiling import gaps, overlaps
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from taximeter_consumers.archive.shelf import Shelf


class Weight(StrEnum):
    """How bad something is."""

    DAMAGE = "damage"
    GAP = "gap"
    NOTE = "note"


@dataclass(frozen=True)
class Fault:
    """What was found, for people."""

    weight: Weight
    text: str


def verify(
    shelf: Shelf, manifest: Manifest, *, deep: bool = False, told: Callable[[int], None] = lambda _: None
) -> Iterator[Fault]:
    """What speaks against the archive; with `deep` every message is read. Raises Retryable."""
    if not manifest.parts:
        yield Fault(Weight.DAMAGE, "the manifest lists no file: none is written without one")
    for partition in sorted(manifest.partitions):
        parts = manifest.of_partition(partition)
        for first, last in gaps(parts):
            yield Fault(Weight.GAP, f"partition {partition}: offsets {first} to {last} are in no file")
        for first, last in overlaps(parts):
            yield Fault(Weight.NOTE, f"partition {partition}: offsets {first} to {last} are in two files; read once")
    for number, part in enumerate(manifest.parts, 1):
        yield from _of_part(shelf, manifest.topic, part, deep=deep)
        told(number)
    listed = {part.path for part in manifest.parts}
    for path in sorted(shelf.files() - listed):
        yield Fault(Weight.NOTE, f"{path} is not in the manifest: nobody reads it, and it may be deleted")


def fetch(shelf: Shelf, manifest: Manifest, folder: Path, told: Callable[[int], None]) -> int:
    """Copies an archive into a folder, each file held against its digest; the number of files that were copied.

    What is there already stays, and stays listed. Ended in between, what was copied is not listed, and the same call
    goes on. Raises Misconfigured for a damaged file, and where the folder has the archive of another topic or log."""
    target, copied = FolderShelf(folder / manifest.topic), 0
    with target.locked():
        there = target.load() or Manifest(topic=manifest.topic)
        there = there.of_log(manifest.topic, manifest.log, target.where, "fetch into another folder")
        own, listed = {part.path: part for part in there.parts}, list[ArchivedPart]()
        for number, part in enumerate(manifest.parts, 1):
            path = folder / manifest.topic / part.path
            kept = _kept(path, part, own.get(part.path))
            if kept is None:
                with shelf.local(part.path) as found:
                    if not copy_file(found, path, part.sha256):
                        raise Misconfigured(
                            f"{shelf.where}/{part.path} is not what was archived", mend="restore the file from a copy"
                        )
                copied += 1
            listed.append(kept or part)
            told(number)
        target.save(there.with_parts(listed))
    return copied


def _kept(path: Path, part: ArchivedPart, own: ArchivedPart | None) -> ArchivedPart | None:
    """What the folder has in place of a file, if that is whole: the same bytes, or the same offsets as it archived them
    itself, which are never the same bytes twice."""
    if not path.is_file():
        return None
    found = manifests.digest(path)
    if found == part.sha256:
        return part
    if own is None or found != own.sha256:
        return None
    return own if own.model_copy(update={"sha256": part.sha256, "size": part.size}) == part else None


def _of_part(shelf: Shelf, topic: str, part: ArchivedPart, *, deep: bool) -> Iterator[Fault]:
    try:
        with shelf.local(part.path) as path:
            size = path.stat().st_size
            if size != part.size or manifests.digest(path) != part.sha256:
                yield Fault(Weight.DAMAGE, f"{part.path} is not what was archived ({size:,} bytes)")
            elif deep:
                yield from _of_rows(path, topic, part)
    except Misconfigured as error:
        yield Fault(Weight.DAMAGE, error.problem)


def _of_rows(path: Path, topic: str, part: ArchivedPart) -> Iterator[Fault]:
    rows, at = 0, part.first - 1
    for message in read_part(path, topic, part.partition):
        if not at < message.at_offset <= part.last:
            yield Fault(Weight.DAMAGE, f"{part.path} has offset {message.at_offset} out of its place")
            return
        rows, at = rows + 1, message.at_offset
    if rows != part.rows:
        yield Fault(Weight.DAMAGE, f"{part.path} has {rows:,} messages, and the manifest says {part.rows:,}")
