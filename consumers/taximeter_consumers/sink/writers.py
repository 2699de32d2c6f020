"""The threads that store batches while the loop goes on polling.

A batch is tried until it is stored: Retryable puts it behind the others and tries again later, for as long as it takes,
so that a partition that is stuck holds up no other. It ends early when the sink stops or when the batch's partition was
taken away; the next owner then stores it. Misconfigured is handed to the
loop, which stops the sink with the operator's message.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from taximeter_consumers.sink.batch import Batch
    from taximeter_consumers.sink.store import Store, Stored

_log = structlog.get_logger()
_BEAT_SECONDS = 0.02


@dataclass(frozen=True)
class Finished:
    """A batch that is done with: stored, failed for good, or given up because its partition is gone (both None)."""

    batch: Batch
    stored: Stored | None = None
    failure: BaseException | None = None


@dataclass(frozen=True)
class _Job:
    """A batch's next attempt, not before an instant of the monotonic clock."""

    batch: Batch
    attempt: int = 1
    not_before: float = 0.0


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
        self._todo: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Finished] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._wanted: set[Batch] = set()
        self._threads = [
            threading.Thread(target=self._work, name=f"sink-writer-{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, batch: Batch) -> None:
        """Queues a batch; its end comes out of `finished`."""
        self._wanted.add(batch)
        self._todo.put(_Job(batch))

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
        self._wanted.discard(batch)

    def close(self, timeout_seconds: float) -> None:
        """Ends the threads; an insert in flight may finish within the timeout."""
        self._stopping.set()
        for _ in self._threads:
            self._todo.put(None)
        for thread in self._threads:
            thread.join(timeout_seconds)

    def _work(self) -> None:
        jitter = random.Random()  # noqa: S311 - jitter is no secret
        while (job := self._todo.get()) is not None:
            if self._stopping.is_set() or job.batch not in self._wanted:
                self._end(Finished(job.batch))
            elif time.monotonic() < job.not_before:
                self._stopping.wait(_BEAT_SECONDS)
                self._todo.put(job)
            else:
                self._attempt(job, jitter)

    def _attempt(self, job: _Job, jitter: random.Random) -> None:
        batch = job.batch
        try:
            self._end(Finished(batch, stored=self._store.store(batch, job.attempt)))
        except Retryable as error:
            _log.warning(
                "batch not stored yet",
                partition=batch.partition,
                first=batch.first,
                last=batch.last,
                attempt=job.attempt,
                error=str(error),
            )
            not_before = time.monotonic() + self._patience.delay(job.attempt, jitter)
            self._todo.put(_Job(batch, job.attempt + 1, not_before))
        # Misconfigured, or a bug: it must reach the loop and end the process; a dead thread would look like silence.
        except Exception as error:  # noqa: BLE001
            self._end(Finished(batch, failure=error))

    def _end(self, finished: Finished) -> None:
        self._wanted.discard(finished.batch)
        self._done.put(finished)
