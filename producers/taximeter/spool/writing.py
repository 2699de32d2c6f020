"""A segment being written: locked, appended to, and closed at the first trouble.

A crash leaves whole records and at most one part of a record at the end. What a full disk cut short is taken back to
the last whole record. After a flush that failed nobody knows what the disk has, so that nothing of it is accepted.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

from taximeter.spool.directory import Directory, sync_file, unlock
from taximeter.spool.layout import HEADER_SIZE, Salt, header_of, new_salt
from taximeter.spool.settings import Fsync


class Writer:
    """One open segment. `trouble` is what the system said when it took less than it was given."""

    def __init__(self, fd: int, name: str, salt: Salt, fsync: Fsync) -> None:
        self.fd, self.name, self.salt = fd, name, salt
        self._fsync = fsync
        self.size = HEADER_SIZE
        self.records = 0
        self.trouble: OSError | None = None

    @property
    def intact(self) -> bool:
        """Whether the file is still there and as long as what was written to it."""
        found = os.fstat(self.fd)
        return found.st_nlink > 0 and found.st_size == self.size

    def append(self, encoded: Sequence[bytes]) -> int:
        """How many of the records, from the first on, are as safe as the policy says."""
        if self._fsync is not Fsync.ALWAYS:
            return self._put(encoded)
        for count, record in enumerate(encoded):
            if not self._put((record,)):
                return count
        return len(encoded)

    def _put(self, encoded: Sequence[bytes]) -> int:
        whole = b"".join(encoded)
        written = self._write(whole)
        taken, end = 0, 0
        for record in encoded:
            if end + len(record) > written:
                break
            taken, end = taken + 1, end + len(record)
        if end < len(whole):
            self._cut(self.size + end)
        if taken and self._fsync is not Fsync.NEVER:
            try:
                sync_file(self.fd)
            except OSError as error:
                self.trouble = error
                self._cut(self.size)
                return 0
        self.size += end
        self.records += taken
        return taken

    def _write(self, whole: bytes) -> int:
        written = 0
        view = memoryview(whole)
        try:
            while written < len(whole):
                written += os.write(self.fd, view[written:])
        except OSError as error:
            self.trouble = error
        return written

    def _cut(self, size: int) -> None:
        # Where this fails a part of a record stays at the end, as after a kill.
        with suppress(OSError):
            os.ftruncate(self.fd, size)

    def close(self) -> None:
        """Give the lock back: from now on anybody may drain it."""
        unlock(self.fd)


def begin(directory: Directory, name: str, fsync: Fsync) -> Writer | None:
    """A new segment with its header; None if another process took it for a dead one's. Raises OSError."""
    fd = directory.create(name)
    if fd is None:
        return None
    salt = new_salt()
    try:
        written = os.write(fd, header_of(salt))
        if fsync is not Fsync.NEVER:
            directory.sync()
    except OSError:
        _forget(directory, name, fd)
        raise
    if written < HEADER_SIZE:
        _forget(directory, name, fd)
        return None
    return Writer(fd, name, salt, fsync)


def _forget(directory: Directory, name: str, fd: int) -> None:
    with suppress(OSError):
        directory.remove(name)
    unlock(fd)
