"""Reading a segment's records whatever has happened to its file. Never raises for what it finds.

After a kill the file ends in a part of a record: that part was never accepted, and is counted as torn. Bytes that can
be no part of a good record are damage: reading goes on at the next record that is whole, and the damage is counted.
At most one record and one window are held in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from taximeter.spool.layout import HEAD_SIZE, HEADER_SIZE, Salt, length_of, pair_of

ReadAt = Callable[[int, int], bytes]
"""Gives that many bytes from that place, fewer only at the end of the file. May raise OSError."""

_WINDOW = 256 << 10


class Reading:
    """One pass over the first `size` bytes of a segment. Its counts are final once `complete`."""

    def __init__(self, salt: Salt, read_at: ReadAt, size: int) -> None:
        self._salt, self._read_at, self._size = salt, read_at, size
        self._window, self._start = b"", 0
        self.count = 0  # records given
        self.torn_bytes = 0  # at the end, of a record that was never accepted
        self.damaged_bytes = 0
        self.complete = False
        self.trouble: OSError | None = None  # the disk refused to give some bytes; they count as damaged

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values, in the order in which they were written."""
        at = HEADER_SIZE
        if self._size < HEADER_SIZE:
            self.torn_bytes = self._size
        try:
            while at < self._size:
                pair, at = self._step(at)
                if pair is not None:
                    self.count += 1
                    yield pair
        except OSError as error:
            self.trouble = error
            self.damaged_bytes += self._size - at
        self.complete = True

    def _step(self, at: int) -> tuple[tuple[bytes, bytes] | None, int]:
        if self._size - at < HEAD_SIZE:
            self.torn_bytes += self._size - at
            return None, self._size
        head = self._bytes(at, HEAD_SIZE)
        length = length_of(self._salt, head)
        if length is None:
            return None, self._resume(at)
        end = at + HEAD_SIZE + length
        if end > self._size:
            self.torn_bytes += self._size - at
            return None, self._size
        pair = pair_of(self._salt, head, self._bytes(at + HEAD_SIZE, length))
        if pair is None:
            self.damaged_bytes += end - at
        return pair, end

    def _resume(self, damaged: int) -> int:
        """Where the next good record begins, or the torn end, or the file's end; what is passed over is counted."""
        at, zeros = damaged, True
        needle = self._salt.needle
        while at < self._size:
            window = self._read_at(at, min(_WINDOW, self._size - at))
            found = window.find(needle, 1 if at == damaged else 0)
            while found >= 0:
                if self._begins(at + found):
                    self.damaged_bytes += at + found - damaged
                    return at + found
                found = window.find(needle, found + 1)
            zeros = zeros and not window.strip(b"\0")
            # A mark may lie across the border of two windows.
            at += len(window) if len(window) < _WINDOW else len(window) - len(needle) + 1
            if not window:
                break
        # A power cut may leave a file longer than what was written: the rest is then empty, and was never accepted.
        if zeros:
            self.torn_bytes += self._size - damaged
        else:
            self.damaged_bytes += self._size - damaged
        return self._size

    def _begins(self, at: int) -> bool:
        """Whether a record lies here that is whole, or whose end was torn off."""
        if self._size - at < HEAD_SIZE:
            return False
        head = self._bytes(at, HEAD_SIZE)
        length = length_of(self._salt, head)
        if length is None:
            return False
        if at + HEAD_SIZE + length > self._size:
            return True
        return pair_of(self._salt, head, self._bytes(at + HEAD_SIZE, length)) is not None

    def _bytes(self, at: int, count: int) -> bytes:
        begin = at - self._start
        if begin < 0 or begin + count > len(self._window):
            try:
                self._window = self._read_at(at, max(count, min(_WINDOW, self._size - at)))
            except OSError:
                # What the disk refuses may lie behind the bytes that are needed now.
                self._window = self._read_at(at, count)
            self._start, begin = at, 0
            if len(self._window) < count:
                raise OSError(f"the file is shorter than its {self._size} bytes")
        return self._window[begin : begin + count]
