"""Which segments this process drains, and what became of those that were not in order.

A segment that cannot be deleted, that may not be read, or that a newer version wrote is passed over by this process
from then on, so that nothing is sent again and again. All damage is counted and said; the file is kept.
"""

from __future__ import annotations

import os
from pathlib import Path

from taximeter.faults import Faults
from taximeter.spool.directory import SEGMENT, Directory, unlock
from taximeter.spool.layout import HEADER_SIZE, VERSION, Salt, salt_of
from taximeter.spool.segment import Segment

# For a file that a crash ended within its header: it holds no record.
_NO_SALT = Salt(0, 0, 0)


class Claims:
    """The claimed segments of one process. Raises OSError and Misconfigured as its directory does."""

    def __init__(self, directory: Directory, faults: Faults) -> None:
        self._directory, self._faults = directory, faults
        self._held: list[Segment] = []
        self.passed: dict[str, str] = {}  # segments that this process passes over, and why
        self.torn_bytes = 0  # of segments that are done
        self.corrupted = 0  # files set aside

    def oldest(self) -> Segment | None:
        """The oldest segment that nobody holds, or None."""
        for name in self._directory.names(SEGMENT):
            if name not in self.passed:
                segment = self._claim(name)
                if segment is not None:
                    self._held.append(segment)
                    return segment
        return None

    def _claim(self, name: str) -> Segment | None:
        try:
            fd = self._directory.open_free(name)
        except OSError as error:
            self._pass_over(name, f"cannot be opened ({error.strerror})")
            return None
        if fd is None:
            return None
        try:
            salt, size = salt_of(os.pread(fd, HEADER_SIZE, 0)), os.fstat(fd).st_size
        except OSError as error:
            unlock(fd)
            self._pass_over(name, f"cannot be read ({error.strerror})")
            return None
        if salt is not None and salt.version != VERSION:
            unlock(fd)
            self._pass_over(name, f"was written by a newer version ({salt.version}), which must drain it")
            return None
        segment = Segment(self._directory, name, fd, salt or _NO_SALT, self._ended)
        if salt is None and size >= HEADER_SIZE:
            self._held.append(segment)
            segment.set_aside()
            return None
        return segment

    def _pass_over(self, name: str, why: str) -> None:
        self.passed[name] = why
        self._faults.note("spool.claim", f"{self._directory.path / name} {why}; it stays where it is")

    def _ended(self, segment: Segment) -> None:
        self._held.remove(segment)
        if segment.error is not None:
            self._pass_over(segment.name, f"was sent and cannot be taken away ({segment.error})")
        elif segment.finished:
            self.torn_bytes += segment.torn_bytes
        if segment.kept is not None:
            self.corrupted += 1
            self._faults.note("spool.corrupt", _kept(segment.kept, segment.damaged_bytes))

    def release(self) -> None:
        """Give every segment back."""
        for segment in list(self._held):
            segment.release()

    def abandon(self) -> None:
        """In a forked child: leave them to the parent."""
        for segment in self._held:
            segment.abandon()
        self._held.clear()


def _kept(path: Path, damaged_bytes: int) -> str:
    what = f"{damaged_bytes} bytes of the spool cannot be read" if damaged_bytes else "a file of the spool is set aside"
    return f"{what}; kept as {path}: look at the disk, and delete it when it has served"
