"""Threads that take partitions over, so that those which are owned already go on being decided."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from taximeter_consumers.quota.service.restore import Restored, Site, restore
from taximeter_schemas.errors import Fenced

if TYPE_CHECKING:
    from collections.abc import Sequence

_THREADS: Final = 4


class Restorer:
    """`begin`, `forget` and `finished` are the loop's."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="quota-restore")
        self._done: queue.SimpleQueue[tuple[threading.Event, Restored | Exception]] = queue.SimpleQueue()
        self._gone: dict[int, threading.Event] = {}

    @property
    def numbers(self) -> Sequence[int]:
        """The partitions that are being taken over."""
        return tuple(self._gone)

    def begin(self, number: int) -> None:
        """Takes a partition over."""
        self.forget([number])
        self._gone[number] = gone = threading.Event()
        self._threads.submit(self._restore, number, gone)

    def forget(self, numbers: Sequence[int]) -> None:
        """They were given away."""
        for number in numbers:
            if number in self._gone:
                self._gone.pop(number).set()

    def finished(self) -> list[Restored]:
        """What was taken over since the last time. Raises what went wrong: Retryable, Fenced or Misconfigured."""
        found = []
        while not self._done.empty():
            gone, outcome = self._done.get_nowait()
            if gone.is_set():
                continue
            if isinstance(outcome, Exception):
                raise outcome
            del self._gone[outcome.number]
            found.append(outcome)
        return found

    def close(self) -> None:
        """Gives up what is under way."""
        self.forget(self.numbers)
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _restore(self, number: int, gone: threading.Event) -> None:
        try:
            self._done.put((gone, restore(self._site, number, gone.is_set)))
        except Fenced as error:
            # Of a partition that is gone nobody wants to hear; else the reader itself came to an end.
            if not gone.is_set():
                self._done.put((gone, error))
        except Exception as error:  # noqa: BLE001 - comes out of `finished`
            self._done.put((gone, error))
