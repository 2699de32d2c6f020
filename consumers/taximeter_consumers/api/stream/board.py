"""A board with the newest word of each kind, and the readers that stand before it. For one event loop."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING

from taximeter_consumers.api.stream.frames import frame
from taximeter_consumers.api.stream.watched import changed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from taximeter_consumers.api.stream.admission import Door

TROUBLE = "trouble"


class Board:
    """What was written last of each event, with a number that grows with each writing."""

    def __init__(self) -> None:
        self.written: dict[str, tuple[int, str]] = {}
        self.readers: set[Reader] = set()
        self._numbers = count(1)

    def write(self, seen: Mapping[str, str]) -> None:
        """Puts up what is new. What stood there in trouble is told anew, so that readers know it holds again."""
        in_trouble = self.written.pop(TROUBLE, None) is not None
        shown = {} if in_trouble else {event: data for event, (_, data) in self.written.items()}
        # What is no more is not told to those who come later.
        self.written = {event: entry for event, entry in self.written.items() if event in seen}
        self._put(changed(shown, seen))

    def trouble(self, data: str) -> None:
        """Puts up that nothing can be seen now, once; the rest stands as it was."""
        if self.written.get(TROUBLE, (0, ""))[1] != data:
            self._put({TROUBLE: data})

    def _put(self, news: Mapping[str, str]) -> None:
        for event, data in news.items():
            self.written[event] = (next(self._numbers), data)
        if news:
            for reader in self.readers:
                reader.wake.set()


class Reader:
    """One stream before some boards. It remembers what it has been given, and holds nothing else."""

    def __init__(self, door: Door, boards: Iterable[Board]) -> None:
        self.door = door
        self.wake = asyncio.Event()
        self.ending: str | None = None
        self._boards = dict.fromkeys(boards, 0)
        self._numbers = count(1)
        for board in self._boards:
            board.readers.add(self)

    def end(self, why: str = "") -> None:
        """Asks the stream to end, with a last word that may be empty."""
        if self.ending is None:
            self.ending = why
            self.wake.set()

    def take(self) -> bytes:
        """What the reader has not had yet, the newest of each kind, as frames."""
        self.wake.clear()
        fresh: list[tuple[str, str]] = []
        for board, had in self._boards.items():
            new = sorted((number, event, data) for event, (number, data) in board.written.items() if number > had)
            fresh += [(event, data) for _, event, data in new]
            if new:
                self._boards[board] = new[-1][0]
        return b"".join(frame(next(self._numbers), event, data) for event, data in fresh)

    def leave(self) -> list[Board]:
        """Goes away from the boards, which are given back."""
        for board in self._boards:
            board.readers.discard(self)
        return list(self._boards)
