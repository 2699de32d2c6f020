"""Where an archive lies: a folder, or a prefix of a bucket. The same few verbs for both.

A file is whole and on disk (or in the bucket) before the manifest lists it, and the manifest is replaced as a whole. A
folder is locked while it is written to; a bucket cannot be, so two writers of one topic there are the operator's to
prevent: the manifest of the last one counts, and what it does not list is archived again.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

from taximeter_consumers.archive import manifest as manifests
from taximeter_consumers.archive.files import write_part
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from taximeter_consumers.archive.manifest import ArchivedPart, Format, Manifest
    from taximeter_consumers.archive.message import ReadMessage


class Shelf(Protocol):
    """The archive of one topic; `where` names it."""

    where: str

    def load(self) -> Manifest | None:
        """The manifest, None where there is none. Raises Misconfigured for what is no manifest."""

    def save(self, manifest: Manifest, /) -> None:
        """Replaces the manifest."""

    def write(self, partition: int, messages: Sequence[ReadMessage], form: Format, /) -> ArchivedPart:
        """Writes one file. It is there to stay when this returns."""

    def local(self, path: str, /) -> AbstractContextManager[Path]:
        """A file as one of this machine. Raises Misconfigured where it is missing."""

    def files(self) -> set[str]:
        """All files that are there but the manifest, relative to it."""

    def locked(self) -> AbstractContextManager[None]:
        """Keeps other writers out, where that can be. Raises Misconfigured while there is one."""


class FolderShelf:
    """A folder of this machine, or of a file system that it has mounted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.where = str(folder)

    def load(self) -> Manifest | None:
        """The manifest, None where there is none."""
        return manifests.load(self._folder) if (self._folder / manifests.NAME).exists() else None

    def save(self, manifest: Manifest) -> None:
        """Replaces the manifest."""
        with _told(self.where):
            manifests.save(self._folder, manifest)

    def write(self, partition: int, messages: Sequence[ReadMessage], form: Format) -> ArchivedPart:
        """One file, with its name on disk as well."""
        part = write_part(self._folder, partition, messages, form)
        hour = (self._folder / part.path).parent
        for folder in (hour, hour.parent, self._folder):
            _sync(folder)
        return part

    @contextmanager
    def local(self, path: str) -> Iterator[Path]:
        """The file itself."""
        found = self._folder / path
        if not found.is_file():
            raise Misconfigured(f"{found} is in the manifest and is missing", mend="restore it from a copy")
        yield found

    def files(self) -> set[str]:
        """All files but the manifest and the lock."""
        own = {manifests.NAME, ".lock"}
        found = (path for path in self._folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self._folder)) for path in found} - own

    @contextmanager
    def locked(self) -> Iterator[None]:
        """By a lock that ends with the process. What a writer that died was at is cleared away."""
        with _told(self.where):
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise Misconfigured(
                    f"another process archives into {self.where}", mend="wait for it, or stop it"
                ) from error
            for left in self._folder.rglob(".*.part"):
                left.unlink(missing_ok=True)
            yield
        finally:
            os.close(descriptor)


def folder_of(where: str) -> Path | None:
    """The folder that a path or a file:// URL names; None for s3://. Raises Misconfigured for another URL."""
    parts = urlsplit(where)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"}:
        return Path(unquote(parts.path))
    if parts.scheme == "s3":
        return None
    if "://" in where:
        raise Misconfigured(f"{where} is no place for an archive", mend="name a folder, file:///FOLDER or s3://BUCKET")
    return Path(where)


def shelf_of(root: str, topic: str) -> Shelf:
    """Where a topic's archive lies, or will, below a root. Raises Misconfigured and Retryable."""
    if not manifests.is_topic(topic):
        raise Misconfigured(f"{topic!r} is no topic's name", mend="name one that Kafka has with --topic")
    folder = folder_of(root)
    if folder is not None:
        return FolderShelf(folder / topic)
    from taximeter_consumers.archive.bucket import BucketShelf

    return BucketShelf.of_url(root, topic)


def shelves_at(where: str) -> list[Shelf]:
    """Every archived topic at a root, or the one at its own folder. Raises Misconfigured where there is none."""
    folder = folder_of(where)
    found: Sequence[Shelf]
    if folder is None:
        from taximeter_consumers.archive.bucket import buckets_at

        found = buckets_at(where)
    else:
        own = [folder] if (folder / manifests.NAME).is_file() else []
        below = sorted(path.parent for path in folder.glob(f"*/{manifests.NAME}"))
        found = [FolderShelf(path) for path in own or below]
    if not found:
        raise Misconfigured(
            f"{where} holds no archive: there is no {manifests.NAME} in it or one level below",
            mend="name the folder that `taximeter archive --to` was given, or that of one topic",
        )
    return list(found)


def copy_file(source: Path, target: Path, sha256: str) -> bool:
    """A copy that has its name when it is whole and on disk. False where it has another digest than it should: then
    there is no copy, and what was at the target stays. Raises Misconfigured."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    with _told(str(target)):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, part)
        _sync(part)
        if manifests.digest(part) != sha256:
            part.unlink()
            return False
        part.replace(target)
    return True


@contextmanager
def _told(where: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Misconfigured(
            f"{where} cannot be written: {error.strerror}", mend="give the archive a place that can be written"
        ) from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        # Not every file system can do so for a folder.
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
