"""The threads that store batches while the loop goes on polling.

A batch is tried until it is stored: Retryable waits and tries again, for as long as it takes. It ends early when the
sink stops or when the batch's partition was taken away; the next owner then stores it. Misconfigured is handed to the
loop, which stops the sink with the operator's message.
"""

from __future__ import annotations

import queue
import random
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from taximeter_schemas.errors import Retryable, TaximeterError

if TYPE_CHECKING:
    from taximeter_consumers.sink.batch import Batch
    from taximeter_consumers.sink.store import Store, Stored

_log = structlog.get_logger()


@dataclass(frozen=True)
class Finished:
    """A batch that is done with: stored, failed for good, or given up because its partition is gone (both None)."""

    batch: Batch
    stored: Stored | None = None
    failure: BaseException | None = None


@dataclass(frozen=True)
class Patience:
    """Exponential back-off with full jitter: seconds between `base` and `most`."""

    base: float = 0.1
    most: float = 10.0

    def delay(self, attempt: int, jitter: random.Random) -> float:
        """How long to wait after the `attempt`-th failure (1 is the first)."""
        ceiling = min(self.most, self.base * 2.0 ** min(attempt - 1, 16))
        return jitter.uniform(ceiling / 2, ceiling)


class Writers:
    """A few threads over one queue of batches."""

    def __init__(self, store: Store, threads: int, patience: Patience | None = None) -> None:
        self._store = store
        self._patience = patience or Patience()
        self._todo: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Finished] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._given_up: set[tuple[int, int]] = set()
        self._threads = [
            threading.Thread(target=self._work, name=f"sink-writer-{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, batch: Batch) -> None:
        """Queues a batch; its end comes out of `finished`."""
        self._given_up.discard((batch.partition, batch.first))
        self._todo.put(batch)

    def finished(self, timeout_seconds: float = 0.0) -> list[Finished]:
        """The batches that have ended since the last call; waits up to the timeout for the first."""
        ended: list[Finished] = []
        try:
            ended.append(self._done.get(timeout=timeout_seconds) if timeout_seconds > 0 else self._done.get_nowait())
            while True:
                ended.append(self._done.get_nowait())
        except queue.Empty:
            return ended

    def give_up(self, batch: Batch) -> None:
        """The batch's partition is gone: no further attempt is made."""
        self._given_up.add((batch.partition, batch.first))

    def close(self, timeout_seconds: float) -> None:
        """Ends the threads; an insert in flight may finish within the timeout."""
        self._stopping.set()
        for _ in self._threads:
            self._todo.put(None)
        for thread in self._threads:
            thread.join(timeout_seconds)

    def _work(self) -> None:
        jitter = random.Random()  # noqa: S311 - jitter is no secret
        while (batch := self._todo.get()) is not None:
            self._done.put(self._finish(batch, jitter))

    def _finish(self, batch: Batch, jitter: random.Random) -> Finished:
        attempt = 1
        while not self._stopping.is_set() and (batch.partition, batch.first) not in self._given_up:
            try:
                return Finished(batch, stored=self._store.store(batch, attempt))
            except Retryable as error:
                _log.warning(
                    "batch not stored yet",
                    partition=batch.partition,
                    first=batch.first,
                    last=batch.last,
                    attempt=attempt,
                    error=str(error),
                )
                self._stopping.wait(self._patience.delay(attempt, jitter))
                attempt += 1
            except TaximeterError as error:
                return Finished(batch, failure=error)
            # A bug must reach the loop and end the process; a dead thread would only look like silence.
            except Exception as error:  # noqa: BLE001
                return Finished(batch, failure=error)
        return Finished(batch)
