"""Answers that cost much and change seldom, kept for a few seconds. Threads share it; a bound number of answers."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")


class Recent(Generic[T]):
    """`clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float], *, seconds: float, most: int) -> None:
        self._clock = clock
        self._seconds = seconds
        self._most = most
        self._kept: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()
        self._lock = Lock()

    def get(self, question: Hashable, ask: Callable[[], T]) -> T:
        """The answer that is kept, or a new one. What `ask` raises is not kept."""
        now = self._clock()
        with self._lock:
            kept = self._kept.get(question)
        if kept is not None and now - kept[0] < self._seconds:
            return kept[1]
        found = ask()
        with self._lock:
            self._kept[question] = (now, found)
            self._kept.move_to_end(question)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return found
