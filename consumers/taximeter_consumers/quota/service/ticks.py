"""The tick: what ClickHouse knows by now becomes facts in the log, and how limits stand becomes rows in ClickHouse.

It only reads values that the loop hands over, and sends through the log like everybody else. A tick that is lost or
done twice changes nothing: facts are absolute, and older ones count for nothing.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, though its stubs do not re-export all
    AdminClient,
    OffsetSpec,
)

from taximeter_consumers.kafka_client import QUIET
from taximeter_consumers.kafka_errors import translate
from taximeter_consumers.quota.service.desk import Line
from taximeter_consumers.quota.truth.known import Known
from taximeter_consumers.quota.truth.rolled_up import Barriers, RolledUp
from taximeter_consumers.quota.truth.state_table import State, write_states
from taximeter_consumers.quota.truth.truth import Truth
from taximeter_consumers.sink.log_identity import LogIdentity
from taximeter_schemas.errors import TaximeterError
from taximeter_schemas.quota.subject import partition_of

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.quota.service.counters import QuotaCounters
    from taximeter_consumers.quota.service.replies import Replies
    from taximeter_consumers.quota.service.settings import QuotaSettings
    from taximeter_schemas.quota.commands import Facts
    from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings

_log = structlog.get_logger()
_KAFKA_SECONDS: Final = 10.0
# A tick over many roots reads a lot; nobody waits for it.
_CLICKHOUSE_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Snapshot:
    """What the loop hands over: the partitions that are owned, what is known of each root, what stands anew, and how
    far this process's clock is ahead of the log's (microseconds; None: nobody knows)."""

    owned: frozenset[int]
    partitions: int
    known: Mapping[str, Known]
    states: Sequence[State]
    ahead: int | None


class Events:
    """The ends of the events topic."""

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        """Raises Retryable or Misconfigured."""
        self.topic, self.log = topic, LogIdentity(kafka, topic, seen=True).log
        self._admin = AdminClient({**kafka.client_config(), "client.id": "taximeter-quota-ends"}, logger=QUIET)

    def ends(self) -> Mapping[int, int]:
        """Partition to the offset that comes next. Raises Retryable or Misconfigured."""
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # the library's gap
        try:
            places = self._places()
            asked = self._admin.list_offsets(dict.fromkeys(places, latest), request_timeout=_KAFKA_SECONDS)
            return {place.partition: int(answer.result().offset) for place, answer in asked.items()}
        except KafkaException as error:
            raise translate(error.args[0]) from error

    def _places(self) -> list[TopicPartition]:
        """Asked each time, as the topic may grow: a partition that is left out would be taken to be complete."""
        known = self._admin.list_topics(self.topic, timeout=_KAFKA_SECONDS).topics[self.topic]
        if known.error is not None:
            raise KafkaException(known.error)
        return [TopicPartition(self.topic, number) for number in known.partitions]


class Ticks:
    """A thread of its own. `wants` says that it waits for `hand_over`, which is the loop's."""

    def __init__(
        self,
        kafka: KafkaSettings,
        clickhouse: ClickHouseSettings,
        events_topic: str,
        settings: QuotaSettings,
        replies: Replies,
        counters: QuotaCounters,
    ) -> None:
        self._kafka = kafka
        self._topic = events_topic
        self._settings = settings
        self._replies = replies
        self._counters = counters
        self._line = Line(clickhouse, _CLICKHOUSE_SECONDS, settings.facts_retry_seconds)
        self._snapshots: queue.SimpleQueue[Snapshot | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self.wants = threading.Event()
        self.done = 0
        """Ticks since the start."""
        self.complete_until = 0
        """Every event that Kafka had before (Unix microseconds by the log's clock) is counted."""
        self._barriers = Barriers()
        self._eyes: _Eyes | None = None
        self._lost = 0
        self._unwritten: list[State] = []
        self._thread = threading.Thread(target=self._run, name="quota-ticks", daemon=True)
        self._thread.start()

    def hand_over(self, snapshot: Snapshot) -> None:
        """Gives a tick what it needs of the machines."""
        self.wants.clear()
        self._snapshots.put(snapshot)

    def close(self, timeout_seconds: float) -> None:
        """Ends the thread after the tick that is under way, within that time."""
        self._stop.set()
        self._snapshots.put(None)
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while not self._stop.wait(self._settings.tick_seconds):
            self.wants.set()
            snapshot = self._snapshots.get()
            if snapshot is None:
                break
            self._unwritten.extend(snapshot.states)
            try:
                if not self._line.is_given_up:
                    self._tick(snapshot)
                    self.done += 1
            except TaximeterError as error:
                self._gave_up(str(error))
            except Exception:  # noqa: BLE001 - without ticks nothing that was used would ever count
                _log.exception("a tick went wrong")
                self._gave_up("it went wrong")
        self._line.close()

    def _tick(self, snapshot: Snapshot) -> None:
        clickhouse = self._line.connected()
        eyes, lost = self._eyes, self._replies.facts_lost
        if eyes is None or not eyes.suit(clickhouse, snapshot.owned) or lost != self._lost:
            self._lost = lost
            events = Events(self._kafka, self._topic)
            eyes = self._eyes = _Eyes(clickhouse, events, snapshot.owned, self._barriers)
        for facts in eyes.look(snapshot):
            self._replies.facts(facts)
        self.complete_until = max(self.complete_until, eyes.complete_until)
        self._counters.answered_at = time.monotonic()
        if self._unwritten:
            write_states(clickhouse, self._unwritten)
            self._unwritten.clear()

    def _gave_up(self, why: str) -> None:
        _log.warning("no tick", error=why, retry_in_seconds=self._settings.facts_retry_seconds)
        # What a tick had found and did not send must be told again: look with fresh eyes.
        self._eyes = None
        self._line.failed()
        latest = {(state.root, state.standing.level, state.standing.limit_id): state for state in self._unwritten}
        self._unwritten = list(latest.values())


class _Eyes:
    """Looks for what changed since it looked last, over one connection and one set of owned partitions."""

    def __init__(self, clickhouse: ClickHouse, events: Events, owned: frozenset[int], barriers: Barriers) -> None:
        self.complete_until = 0
        self._clickhouse = clickhouse
        self._owned = owned
        self._events = events
        self._barriers = barriers
        self._rolled_up = RolledUp(clickhouse, events.topic, events.log)
        self._truth = Truth(clickhouse, self._complete)

    def suit(self, clickhouse: ClickHouse, owned: frozenset[int]) -> bool:
        return self._clickhouse is clickhouse and self._owned == owned

    def look(self, snapshot: Snapshot) -> Sequence[Facts]:
        now = time.time_ns() // 1_000
        if snapshot.ahead is not None:
            # By the clock of the log: by it holds are closed, and a clock that is ahead must not call them complete.
            self._barriers.note(now - snapshot.ahead, self._events.ends())
        return self._truth.changed(
            snapshot.known, lambda root: partition_of(root, snapshot.partitions) in snapshot.owned, now
        )

    def _complete(self) -> int:
        self.complete_until = self._barriers.complete_until(self._rolled_up.offsets())
        return self.complete_until
