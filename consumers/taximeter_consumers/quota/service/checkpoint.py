"""Checkpoints: changed state, alerts and offsets in one transaction, written by a thread of their own.

All of a checkpoint counts, or nothing of it. It carries the membership as it was when the loop made it; a group that
went on without this process refuses it (Fenced), and nothing of it is ever seen. What was surely rolled back is handed
back to the loop. Where nobody can say how a transaction ended, the loop must drop all and restore: the log knows.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from taximeter_consumers import failpoints
from taximeter_consumers.kafka_errors import translate
from taximeter_consumers.quota.service import clients
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from taximeter_schemas.errors import TaximeterError
    from taximeter_schemas.quota.answers import Alert
    from taximeter_schemas.settings import KafkaSettings, TopicSettings

_log = structlog.get_logger()
_SECONDS: Final = 10.0
_ATTEMPTS: Final = 3


@dataclass(frozen=True)
class Part:
    """What one partition adds: changed records by key (None: deleted), and the offset to go on at.

    `commands`: how many decisions are in it."""

    records: Mapping[str, bytes | None]
    alerts: Sequence[Alert]
    next_offset: int
    commands: int


@dataclass(frozen=True)
class Checkpoint:
    """Parts by partition, and the group's own token of the membership (opaque) under which they were made."""

    parts: Mapping[int, Part]
    membership: object


@dataclass(frozen=True)
class Outcome:
    """How it ended. No failure: all of it counts. `rolled_back`: surely nothing of it counts."""

    checkpoint: Checkpoint
    failure: TaximeterError | None = None
    rolled_back: bool = False


class Checkpointer:
    """One transactional producer on one thread; one checkpoint at a time."""

    def __init__(self, kafka: KafkaSettings, topics: TopicSettings, transactional_id: str) -> None:
        """Raises Retryable or Misconfigured."""
        self._topics = topics
        self.transactional_id = transactional_id
        self._producer = clients.transactional(kafka, transactional_id)
        self._todo: queue.SimpleQueue[Checkpoint | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self.busy = False
        try:
            self._again(lambda: self._producer.init_transactions(_SECONDS))
        except KafkaException as error:
            raise translate(error.args[0]) from error
        self._thread = threading.Thread(target=self._run, name="quota-checkpoints", daemon=True)
        self._thread.start()

    def submit(self, checkpoint: Checkpoint) -> None:
        """Hands one over. Only while not `busy`."""
        self.busy = True
        self._todo.put(checkpoint)

    def outcome(self, timeout_seconds: float = 0.0) -> Outcome | None:
        """How the last one ended; None while it is under way."""
        if not self.busy:
            return None
        try:
            found = self._done.get(timeout=timeout_seconds) if timeout_seconds else self._done.get_nowait()
        except queue.Empty:
            return None
        self.busy = False
        return found

    def close(self, timeout_seconds: float) -> None:
        """Ends the thread; what is under way has as long. An open transaction is rolled back by its successor."""
        self._todo.put(None)
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while (checkpoint := self._todo.get()) is not None:
            self._done.put(self._saved(checkpoint))

    def _saved(self, checkpoint: Checkpoint) -> Outcome:
        failpoints.reached("quota.before_checkpoint")
        committing = False
        try:
            self._again(self._producer.begin_transaction)
            self._fill(checkpoint)
            failpoints.reached("quota.in_transaction")
            self._send_offsets(checkpoint)
            failpoints.reached("quota.before_commit")
            committing = True
            self._again(lambda: self._producer.commit_transaction(_SECONDS))
        except KafkaException as error:
            return self._failed(checkpoint, error.args[0], committing=committing)
        except BufferError:
            self._abort()
            return Outcome(checkpoint, Retryable("Kafka does not take the state as fast as it changes"), True)
        except Exception as error:  # noqa: BLE001 - a thread that dies in silence would let decisions pile up for ever
            _log.exception("a checkpoint went wrong")
            return Outcome(checkpoint, Retryable(f"a checkpoint went wrong: {type(error).__name__}"))
        failpoints.reached("quota.after_checkpoint")
        return Outcome(checkpoint)

    def _fill(self, checkpoint: Checkpoint) -> None:
        for number, part in checkpoint.parts.items():
            for key, value in part.records.items():
                self._producer.produce(self._topics.quota_state, key=key.encode(), value=value, partition=number)
            for alert in part.alerts:
                self._producer.produce(self._topics.alerts, key=alert.root.encode(), value=alert.encoded())
            self._producer.poll(0)

    def _send_offsets(self, checkpoint: Checkpoint) -> None:
        # The metadata tells a successor whose transaction to roll back.
        places = [
            TopicPartition(self._topics.quota_commands, number, part.next_offset, self.transactional_id)
            for number, part in checkpoint.parts.items()
        ]
        self._again(lambda: self._producer.send_offsets_to_transaction(places, checkpoint.membership, _SECONDS))

    def _failed(self, checkpoint: Checkpoint, error: KafkaError, *, committing: bool) -> Outcome:
        failure = translate(error)
        if error.fatal():
            # Of a commit nobody knows how it ended; else the broker rolls it back, but this producer is of no use.
            return Outcome(checkpoint, failure)
        if committing and not error.txn_requires_abort():
            return Outcome(checkpoint, failure)
        return Outcome(checkpoint, failure, rolled_back=self._abort())

    def _abort(self) -> bool:
        try:
            self._again(lambda: self._producer.abort_transaction(_SECONDS))
        except KafkaException:
            return False
        return True

    def _again(self, step: Callable[[], None]) -> None:
        """A step of a transaction may be taken again for as long as librdkafka says so."""
        for attempt in range(_ATTEMPTS):
            try:
                step()
            except KafkaException as error:
                if not error.args[0].retriable() or attempt == _ATTEMPTS - 1:
                    raise
            else:
                return
