"""The threads that store bundles while the loop goes on polling.

A bundle is inserted whole; after that each of its batches is settled (dead letters, ledger): those without bad records
together, the others each alone, so that a partition whose dead letters find no room holds up no other. Each step is
tried until it is done: Retryable puts it behind the others and tries again later, for as long as it takes. It ends
early when the sink stops or when the batches' partitions were taken away; the next owners then store them.
Misconfigured is handed to the loop, which stops the sink with the operator's message.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from taximeter_consumers.sink.batch import Batch
from taximeter_consumers.sink.bundle import Bundle
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from taximeter_consumers.sink.flood import Flood, FloodGate
    from taximeter_consumers.sink.store import Bad, Store

_log = structlog.get_logger()
_BEAT_SECONDS = 0.02


@dataclass(frozen=True)
class Finished:
    """Batches that are done with: settled, stopped by a flood of bad records, failed for good, or given up because
    their partitions are gone (all empty). Before that, those that are inserted and wait for their dead letters."""

    batches: tuple[Batch, ...]
    # How many dead letters each settled batch has; None where they are not settled.
    settled: Mapping[Batch, int] | None = None
    flood: Flood | None = None
    failure: BaseException | None = None
    inserted: bool = False


@dataclass(frozen=True)
class _Settlement:
    """Inserted batches, and what is bad in them."""

    batches: tuple[Batch, ...]
    bad: Mapping[Batch, Bad] = field(default_factory=dict)

    def __str__(self) -> str:
        """For logs."""
        return ",".join(str(batch.slice) for batch in self.batches)


@dataclass(frozen=True)
class _Job:
    """A step's next attempt, not before an instant of the monotonic clock."""

    bundle: Bundle
    step: Bundle | _Settlement
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
    """A few threads over one queue of steps."""

    def __init__(self, store: Store, gate: FloodGate, threads: int, patience: Patience | None = None) -> None:
        self._store = store
        self._gate = gate
        self._patience = patience or Patience()
        self._todo: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Finished] = queue.SimpleQueue()
        self._stopping = threading.Event()
        # In which bundle a batch is wanted: one that was torn may still be under way when its pieces come.
        self._wanted: dict[Batch, Bundle] = {}
        # What a thread is at. A piece waits for the end of the whole, or both might store it.
        self._under_way: set[Batch] = set()
        self._threads = [
            threading.Thread(target=self._work, name=f"sink-writer-{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, bundle: Bundle) -> None:
        """Queues a bundle; the ends of its batches come out of `finished`."""
        self._wanted.update(dict.fromkeys(bundle.batches, bundle))
        self._todo.put(_Job(bundle, bundle))

    def parts_of_a_bundle(self) -> float:
        """How many parts ClickHouse makes of a bundle, lately."""
        return self._store.parts.of_a_bundle()

    def finished(self, timeout_seconds: float = 0.0) -> list[Finished]:
        """What has ended since the last call; waits up to the timeout for the first."""
        ended: list[Finished] = []
        try:
            ended.append(self._done.get(timeout=timeout_seconds) if timeout_seconds > 0 else self._done.get_nowait())
            while True:
                ended.append(self._done.get_nowait())
        except queue.Empty:
            return ended

    def give_up(self, bundle: Bundle) -> None:
        """A partition of this bundle is gone: no further attempt is made at it. Pieces of it may be submitted."""
        self._forget(bundle)

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
            if self._stopping.is_set() or any(self._wanted.get(one) is not job.bundle for one in job.step.batches):
                self._forget(job.bundle)
                self._done.put(Finished(job.step.batches))
            elif time.monotonic() < job.not_before or not self._under_way.isdisjoint(job.step.batches):
                self._stopping.wait(_BEAT_SECONDS)
                self._todo.put(job)
            else:
                self._under_way.update(job.step.batches)
                try:
                    self._attempt(job, jitter)
                finally:
                    self._under_way.difference_update(job.step.batches)

    def _attempt(self, job: _Job, jitter: random.Random) -> None:
        try:
            if isinstance(job.step, Bundle):
                settlements = self._insert(job.step, job.attempt)
            else:
                self._settle(job.step, job.attempt)
                return
        except Retryable as error:
            not_before = time.monotonic() + self._patience.delay(job.attempt, jitter)
            self._todo.put(_Job(job.bundle, job.step, job.attempt + 1, not_before))
            if isinstance(job.step, _Settlement) and job.attempt == 1:
                self._done.put(Finished(job.step.batches, inserted=True))
            _log.warning("not stored yet", slices=str(job.step), attempt=job.attempt, error=str(error))
        # Misconfigured, or a bug: it must reach the loop and end the process; a dead thread would look like silence.
        except Exception as error:  # noqa: BLE001
            self._end(Finished(job.step.batches, failure=error))
        else:
            for settlement in settlements:
                self._attempt(_Job(job.bundle, settlement), jitter)

    def _insert(self, bundle: Bundle, attempt: int) -> list[_Settlement]:
        bad = self._store.insert(bundle, attempt)
        clean: list[Batch] = []
        dirty: list[Batch] = []
        for batch in bundle.batches:
            flood = self._gate.passes(batch.partition, len(batch.values), len(bad.get(batch, ())))
            if flood is not None:
                self._end(Finished((batch,), flood=flood))
            else:
                (dirty if batch in bad else clean).append(batch)
        settlements = [_Settlement((batch,), {batch: bad[batch]}) for batch in dirty]
        return [_Settlement(tuple(clean)), *settlements] if clean else settlements

    def _settle(self, settlement: _Settlement, attempt: int) -> None:
        self._store.settle(settlement.batches, settlement.bad, attempt)
        bad = settlement.bad
        self._end(
            Finished(settlement.batches, settled={batch: len(bad.get(batch, ())) for batch in settlement.batches})
        )

    def _end(self, finished: Finished) -> None:
        for batch in finished.batches:
            self._wanted.pop(batch, None)
        self._done.put(finished)

    def _forget(self, bundle: Bundle) -> None:
        for batch in bundle.batches:
            if self._wanted.get(batch) is bundle:
                self._wanted.pop(batch, None)
