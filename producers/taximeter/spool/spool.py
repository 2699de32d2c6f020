"""The spool of one process: it appends to a segment of its own and drains, oldest first, whatever nobody holds.

Crash: what `append` accepted stays; the next process that asks for a segment gets it. Shutdown: `close` makes what was
written free for others. Fork: the child has no segment, and the parent keeps its own; `abandon` does it, and so does
the first call in the child. Used by one thread; `status` by any. Only the making of a spool raises (Misconfigured).
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TypeVar

from taximeter import process
from taximeter.faults import Faults
from taximeter.spool.claims import Claims
from taximeter.spool.directory import Directory, name_of
from taximeter.spool.layout import HEADER_SIZE, LONGEST_RECORD, record_of, size_of
from taximeter.spool.room import Room, fitting
from taximeter.spool.segment import Segment
from taximeter.spool.settings import SpoolSettings
from taximeter.spool.status import SpoolStatus, read_status
from taximeter.spool.writing import Writer, begin
from taximeter_schemas.errors import TaximeterError

Got = TypeVar("Got")

_TRIES = 3
# No room on the disk, none under the user's quota, or none under the process's limit on a file's size.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Spool:
    """Raises Misconfigured where its directory may not or cannot be used; a full disk is no such reason."""

    def __init__(self, settings: SpoolSettings, faults: Faults) -> None:
        self._settings, self._faults = settings, faults
        self._closed = False
        self._last_ns = 0
        self._begin_anew()
        try:
            self._directory.fd()
        except OSError as error:
            self._say(error)

    def _begin_anew(self) -> None:
        self._epoch = process.epoch()
        self._directory = Directory(self._settings.directory)
        self._room = Room(self._settings.limit_bytes, self._settings.segment_bytes, self._directory.used)
        self._claims = Claims(self._directory, self._faults)
        self._writer: Writer | None = None

    def append(self, records: Sequence[tuple[bytes, bytes]]) -> int:
        """How many of the records (key, value), in their order, are accepted; for the rest there is no room.

        Accepted is what is as safe as the fsync policy says. Nothing is raised for a disk that is full or fails: that
        counts as no room, is said, and leaves what was accepted before as it is.
        """
        self._be_this_process()
        accepted, took = 0, 1
        while took and accepted < len(records) and not self._closed:
            took = self._tried(partial(self._put, records, accepted), 0)
            accepted += took
        return accepted

    def _put(self, records: Sequence[tuple[bytes, bytes]], start: int) -> int:
        first = size_of(*records[start])
        self._seal_if_over(first)
        if self._writer is None:
            self._room.look()
        needed = first + (0 if self._writer else HEADER_SIZE)
        room = self._room.left(needed)
        if room < needed or first > LONGEST_RECORD:
            self._say_full(first)
            return 0
        if self._writer is None:
            self._writer = self._new_segment()
            if self._writer is None:
                return 0
            self._room.take(HEADER_SIZE)
            room -= HEADER_SIZE
        # A segment takes at least one record, however long.
        room = min(room, max(first, self._settings.segment_bytes - self._writer.size))
        count = fitting((size_of(*pair) for pair in islice(records, start, None)), room)
        salt, before = self._writer.salt, self._writer.size
        took = self._writer.append([record_of(salt, *records[start + place]) for place in range(count)])
        self._room.take(self._writer.size - before)
        if self._writer.trouble is not None:
            self._say(self._writer.trouble)
            self.seal()
        return took

    def _seal_if_over(self, size: int) -> None:
        """End the segment if it is long enough, or is no longer what this process wrote."""
        if self._writer is None:
            return
        full = self._writer.records and self._writer.size + size > self._settings.segment_bytes
        if full or not self._writer.intact or not self._directory.holds(self._writer.name, self._writer.fd):
            self.seal()

    def _new_segment(self) -> Writer | None:
        for _ in range(_TRIES):
            self._last_ns = max(time.time_ns(), self._last_ns + 1)
            name = name_of(self._last_ns, os.getpid(), self._epoch, os.urandom(4).hex())
            writer = begin(self._directory, name, self._settings.fsync)
            if writer is not None:
                return writer
        return None

    def seal(self) -> None:
        """End the segment being written, so that anybody may drain it. One without a record is deleted."""
        self._be_this_process()
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        if not writer.records:
            self._tried(partial(self._directory.remove, writer.name), None)
        writer.close()

    def claim(self) -> Segment | None:
        """The oldest segment that nobody holds, locked for this process; None if there is none, or none readable."""
        self._be_this_process()
        return None if self._closed else self._tried(self._claims.oldest, None)

    @property
    def passed_over(self) -> Mapping[str, str]:
        """Segments that this process cannot drain, by name, and why. They stay where they are."""
        return self._claims.passed

    def status(self) -> SpoolStatus:
        """What waits in the directory, of all processes, read from its files; with what this spool found damaged."""
        found = self._tried(partial(read_status, self._settings.directory), SpoolStatus())
        claims = self._claims
        return replace(found, torn_bytes=found.torn_bytes + claims.torn_bytes, corrupted=claims.corrupted)

    def close(self) -> None:
        """Free what this process holds. Nothing is accepted or claimed afterwards."""
        self.seal()
        self._closed = True
        self._claims.release()
        self._directory.close()

    def abandon(self) -> None:
        """In a forked child: forget the parent's segments. Their locks stay the parent's."""
        writer, claims, directory = self._writer, self._claims, self._directory
        self._begin_anew()
        if writer is not None:
            os.close(writer.fd)
        claims.abandon()
        directory.close()

    def _be_this_process(self) -> None:
        if self._epoch != process.epoch():
            self.abandon()

    def _tried(self, attempt: Callable[[], Got], instead: Got) -> Got:
        try:
            return attempt()
        except OSError as error:
            self._say(error)
        except TaximeterError as error:
            self._faults.note("spool.directory", " ".join(str(error).split()))
        return instead

    def _say(self, error: OSError) -> None:
        where = self._settings.directory
        if error.errno in NO_ROOM:
            self._faults.say("spool.full", f"the disk of the spool {where} is full ({error.strerror}): free some of it")
        else:
            self._faults.note("spool.disk", f"the spool {where} cannot be used now: {error.strerror}")

    def _say_full(self, size: int) -> None:
        limit = self._settings.limit_bytes
        self._faults.say(
            "spool.full",
            f"the spool {self._settings.directory} has no room for a record of {size} bytes within its {limit} bytes:"
            " bring the broker back, or raise the limit",
        )
