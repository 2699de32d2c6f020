"""A segment that is being drained: its lock is held, so nobody else sends it at the same time.

A kill at any moment leaves the file as it was: it is drained again, from its first record. It is deleted by `done`
alone, and only after all its records were given out; one that holds damage is kept under another name instead.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from taximeter import process
from taximeter.spool.directory import Directory, unlock
from taximeter.spool.layout import Salt
from taximeter.spool.reading import Reading
from taximeter_schemas.errors import Misconfigured

OnEnd = Callable[["Segment"], None]


class Segment:
    """One claimed segment. Used by the thread that claimed it, in the process that claimed it."""

    def __init__(self, directory: Directory, name: str, fd: int, salt: Salt, on_end: OnEnd) -> None:
        self.name, self.path = name, directory.path / name
        self._directory = directory
        self._fd: int | None = fd
        self._salt = salt
        self._on_end = on_end
        self._epoch = process.epoch()
        self.size = os.fstat(fd).st_size
        self._reading = Reading(salt, self._read_at, self.size)
        self.kept: Path | None = None  # where it lies after `done`, if it was not deleted
        self.error: str | None = None  # why it could not be deleted
        self.finished = False  # whether it is deleted or kept aside

    @property
    def count(self) -> int:
        """How many records were given out by the latest reading: all of them, once it came to its end."""
        return self._reading.count

    @property
    def torn_bytes(self) -> int:
        """The part of a record at its end that a crash left, as far as it was read. It was never accepted."""
        return self._reading.torn_bytes

    @property
    def damaged_bytes(self) -> int:
        """What cannot be read any more, as far as it was read."""
        return self._reading.damaged_bytes

    @property
    def ended(self) -> bool:
        """Whether this segment is no longer held, by `done`, `release` or a fork."""
        return self._fd is None or self._epoch != process.epoch()

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values, oldest first, from the beginning at every call. Never raises, never gives altered bytes."""
        self._reading = Reading(self._salt, self._read_at, self.size)
        return self._reading.records()

    def _read_at(self, at: int, count: int) -> bytes:
        if self.ended or self._fd is None:
            raise OSError("the segment is not held any more")
        # Not by the file's own position: a forked child shares that one.
        return os.pread(self._fd, count, at)

    def done(self) -> bool:
        """All its records are acknowledged: delete it, or keep it aside if it is damaged. False if it stays.

        It also stays, for another time, if `records` was not read to its end.
        """
        return self._end(aside=self._reading.damaged_bytes > 0) if self._reading.complete else self.release()

    def set_aside(self) -> bool:
        """Keep it under another name: something in it must not be sent again, and must not be lost."""
        return self._end(aside=True)

    def _end(self, *, aside: bool) -> bool:
        if self.ended:
            return False
        try:
            if aside:
                self.kept = self.path.with_name(self._directory.set_aside(self.name))
            else:
                self._directory.remove(self.name)
        except FileNotFoundError:
            pass  # somebody deleted it by hand
        except OSError as error:
            self.error = error.strerror or type(error).__name__
        except Misconfigured as error:
            self.error = error.problem
        self.finished = self.error is None
        self.release()
        return self.finished

    def release(self) -> bool:
        """Give the lock back and keep the file. Always False: the segment stays."""
        if not self.ended and self._fd is not None:
            fd, self._fd = self._fd, None
            unlock(fd)
            self._on_end(self)
        return False

    def abandon(self) -> None:
        """In a forked child: close this copy of the descriptor and leave the parent's lock alone."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)
