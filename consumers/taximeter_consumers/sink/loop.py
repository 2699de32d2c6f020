"""The sink's loop: poll, offer, hold, cut, commit. Always in this order, always polling, on one thread.

* A crash loses nothing: what was not committed is read again; what was being stored is cut again, and recognised.
* A rebalance takes partitions away: their batches in flight get a moment to finish, the rest is dropped.
* A zombie (a process that slept past its session) cannot commit, for the group fences it; it drops all and joins anew.
* When ClickHouse is slow or away, partitions are paused and polling goes on; memory stays within its bound.
* When the topic is deleted or made anew, what is in hand is stored first: nobody can read it again.
* A stop lets inserts in flight finish, commits, and leaves the group.
"""

from __future__ import annotations

import time
from itertools import groupby
from typing import TYPE_CHECKING

import structlog
from confluent_kafka import Message

from taximeter_consumers import failpoints
from taximeter_consumers.kafka_errors import ClientEnded
from taximeter_consumers.sink.garbage import Sweeper
from taximeter_consumers.sink.group import LogGone
from taximeter_consumers.sink.workbench import Workbench
from taximeter_schemas.errors import Fenced, Misconfigured, Retryable

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Sequence

    from taximeter_consumers.sink.bundle import Bundle
    from taximeter_consumers.sink.counters import SinkCounters
    from taximeter_consumers.sink.log_identity import LogIdentity
    from taximeter_consumers.sink.membership import Membership
    from taximeter_consumers.sink.partition import Partition
    from taximeter_consumers.sink.settings import SinkSettings
    from taximeter_consumers.sink.writers import Finished, Writers

_log = structlog.get_logger()
_POLL_SECONDS = 0.03
_ASK_OTHERS_SECONDS = 0.5
_MEND = "repair the producer; to let such records go to the dead letters, start again with TAXIMETER_SINK_POISON_RATE=1"


class Loop:
    """One membership in the group, from subscribe to close."""

    def __init__(
        self,
        membership: Membership,
        identity: LogIdentity,
        writers: Writers,
        settings: SinkSettings,
        counters: SinkCounters,
    ) -> None:
        self._membership = membership
        self._identity = identity
        self._writers = writers
        self._settings = settings
        self._counters = counters
        parts = writers.parts_of_a_bundle
        self._bench = Workbench(settings.cut_policy, settings.bundles_in_flight, identity.log, parts)
        self._announced: list[Bundle] = []
        self._moved: set[int] = set()
        self._sweeper = Sweeper(time.monotonic())
        self._drain = False
        self._keeps_metadata: bool | None = None
        self._ask_others_at = 0.0
        self._fenced_since: float | None = None

    def run(self, stop: threading.Event, *, until_caught_up: bool = False) -> None:
        """Runs until `stop` is set, or until all that lay in the log is stored.

        Raises Retryable or Fenced (drop everything and open a new membership) or Misconfigured.
        """
        self._drain = until_caught_up
        self._membership.subscribe(self._leave, self._forget)
        try:
            while not stop.is_set() and not (until_caught_up and self._caught_up()):
                self._turn()
            self._finish(list(self._partitions))
        except LogGone:
            self._rescue()
            raise
        finally:
            self._membership.close()
            self._forget(list(self._partitions))

    @property
    def _partitions(self) -> dict[int, Partition]:
        return self._membership.partitions

    def _turn(self) -> None:
        records, events = self._membership.poll(_POLL_SECONDS)
        self._counters.rebalances = max(self._counters.rebalances, self._membership.rebalances)
        self._sweeper.look(time.monotonic(), idle=not records)
        self._offer(records)
        for event in events:
            self._membership.notice(event)
        self._hold()
        self._collect(0.0)
        self._cut()
        self._commit()
        self._membership.tell(self._counters)
        if self._identity.has_changed(time.monotonic()):
            raise LogGone("the topic was deleted and made anew under its name")

    def _offer(self, records: list[Message]) -> None:
        now = time.monotonic()
        for number, run in groupby(records, key=Message.partition):
            partition = self._partitions.get(number if number is not None else -1)
            if partition is not None:  # gone in a rebalance during this very poll
                partition.offer(list(run), now)

    def _hold(self) -> None:
        """Pauses what holds more than its share once half of the memory is taken; resumes it at half of its share.

        Polling goes on. An announced bundle is read to its end while the memory of all allows: a pause would wait for
        ever."""
        share = max(self._settings.memory_bytes // max(len(self._partitions), 1), 1)
        held = {number: partition.memory for number, partition in self._partitions.items()}
        taken = sum(held.values())
        full, scarce = taken >= self._settings.memory_bytes, taken >= self._settings.memory_bytes // 2
        for number, partition in self._partitions.items():
            if not partition.paused and scarce and held[number] >= share:
                if partition.rebuilding and not full:
                    continue
                if partition.rebuilding:
                    self._cut_afresh()
                self._membership.pause(partition)
                self._counters.pauses += 1
            elif partition.paused and not partition.stopped and held[number] <= share // 2:
                self._membership.resume(partition)

    def _cut_afresh(self) -> None:
        """Forgets what was announced before: it does not fit into memory, or the log ends before it."""
        self._membership.rebuilds.clear()
        for partition in self._partitions.values():
            partition.forget_intents()

    def _collect(self, timeout_seconds: float) -> None:
        for finished in self._writers.finished(timeout_seconds):
            if finished.failure is not None:
                raise finished.failure
            # What was given up took its leave before: pieces of it may be in flight again.
            if finished.flood is not None:
                self._bench.ended(finished.batches)
                self._stop_partition(finished)
            elif finished.inserted:
                self._bench.ended(finished.batches)
            elif finished.settled is not None:
                self._bench.ended(finished.batches)
                self._count(finished)

    def _count(self, finished: Finished) -> None:
        for batch, dead_lettered in (finished.settled or {}).items():
            partition = self._partitions.get(batch.partition)
            if partition is None or batch not in partition.in_flight:
                continue  # stored for a partition that was given away meanwhile: its new owner answers for it
            self._bench.landed(partition.stored(batch))
            self._moved.add(partition.number)
            self._counters.records += len(batch.values)
            self._counters.dead_lettered += dead_lettered
            self._counters.batches += 1
            _log.info("batch stored", slice=str(batch.slice), records=len(batch.values), dead_lettered=dead_lettered)

    def _stop_partition(self, finished: Finished) -> None:
        (batch,) = finished.batches
        partition = self._partitions.get(batch.partition)
        if partition is None or batch not in partition.in_flight:
            return
        partition.stopped = True
        if not partition.paused:
            self._membership.pause(partition)
        _log.error(f"PARTITION STOPPED: {finished.flood}. {_MEND}", slice=str(batch.slice))

    def _cut(self) -> None:
        now = time.monotonic()
        partitions = self._partitions
        share = len(partitions) / max(self._identity.partitions, len(partitions), 1)
        at_end = self._drain and all(partition.at_end for partition in partitions.values())
        if self._bench.is_cut_off(partitions, self._membership.rebuilds):
            self._cut_afresh()
        while self._bench.has_room and partitions:
            bundle = self._bench.rebuild(partitions, self._membership.rebuilds, now) or self._bench.cut(
                partitions, now, share=share, unread=self._membership.unread(), all_of_it=at_end
            )
            if bundle is None:
                return
            self._announced.append(bundle)
            self._moved.update(batch.partition for batch in bundle.batches)

    def _commit(self) -> None:
        """Tells Kafka what is stored and what is about to be; only then do the announced bundles go to the writers."""
        if not self._moved:
            return
        positions = {number: self._bench.position(self._partitions[number]) for number in self._moved}
        if self._announced:
            failpoints.reached("sink.before_intent")
        try:
            self._membership.commit(positions)
        except Retryable as error:
            _log.warning("commit not taken yet", error=str(error))
            return
        except Fenced as error:
            # In a rebalance the group may be a generation ahead for a moment. Longer, and it went on without us.
            self._fenced_since = self._fenced_since or time.monotonic()
            for_long = time.monotonic() - self._fenced_since > self._settings.session_timeout_ms / 1000
            if for_long or isinstance(error, ClientEnded):
                raise
            _log.warning("commit not taken yet", error=str(error))
            return
        self._fenced_since = None
        if self._announced:
            failpoints.reached("sink.after_intent")
        self._moved.clear()
        for bundle in self._announced:
            self._writers.submit(bundle)
            self._counters.bundles += 1
        self._announced.clear()
        if self._keeps_metadata is None:
            self._look_at_metadata()

    def _look_at_metadata(self) -> None:
        self._keeps_metadata = self._membership.keeps_metadata()
        if not self._keeps_metadata:
            self._bench.aligned_rows = self._settings.aligned_rows
            _log.warning(
                "this broker drops the metadata of commits: after a crash a batch may be stored twice before storage"
                " collapses it; batches begin at multiples of a number of offsets, so that few are",
                aligned_rows=self._settings.aligned_rows,
            )

    def _caught_up(self) -> bool:
        """Whether all that lies in the topic is stored, by this sink or by the others of its group.

        Raises Misconfigured when nothing but stopped partitions is left."""
        if not self._membership.rebalances or self._moved:
            return False
        going = [partition for partition in self._partitions.values() if not partition.stopped]
        if not all(partition.at_end and partition.idle for partition in going):
            return False
        if len(going) < len(self._partitions):
            stopped = sorted(set(self._partitions) - {partition.number for partition in going})
            raise Misconfigured(f"too many records of partitions {stopped} cannot be stored", mend=_MEND)
        now = time.monotonic()
        if now < self._ask_others_at:
            return False
        self._ask_others_at = now + _ASK_OTHERS_SECONDS
        return not self._membership.others_behind()

    def _leave(self, numbers: Sequence[int]) -> None:
        """These partitions are about to be given back."""
        self._finish([number for number in numbers if number in self._partitions])

    def _finish(self, numbers: Sequence[int]) -> None:
        """Lets what is in flight finish, within the stop's patience, and commits it."""
        leaving = [self._partitions[number] for number in numbers]
        unsubmitted = {batch for bundle in self._announced for batch in bundle.batches}
        deadline = time.monotonic() + self._settings.stop_timeout_seconds
        while time.monotonic() < deadline:
            waited_for = (batch for partition in leaving if not partition.stopped for batch in partition.in_flight)
            if all(batch in unsubmitted for batch in waited_for):
                break
            self._collect(_POLL_SECONDS)
        if not leaving:
            return
        try:
            self._membership.commit({one.number: self._bench.position(one) for one in leaving})
        except (Fenced, Retryable) as error:
            # What is not committed is stored again by the next owner, and recognised.
            _log.warning("last commit not taken", error=str(error))

    def _forget(self, numbers: Iterable[int]) -> None:
        """These partitions are not ours any more; what is in flight with them goes on without them."""
        gone = set(numbers)
        for bundle, pieces in self._bench.tear(gone):
            self._writers.give_up(bundle)
            if bundle in self._announced:
                self._announced.remove(bundle)
                self._announced.extend(pieces)
            else:
                for piece in pieces:
                    self._writers.submit(piece)
        self._moved -= gone

    def _rescue(self) -> None:
        """Stores all that is in hand, told to Kafka or not: the log that it came from may be gone."""
        self._cut_afresh()
        deadline = time.monotonic() + self._settings.stop_timeout_seconds
        while time.monotonic() < deadline:
            for bundle in self._announced:
                self._writers.submit(bundle)
            self._announced.clear()
            more = self._bench.cut(self._partitions, time.monotonic(), share=1, unread=0, all_of_it=True)
            if more is not None:
                self._announced.append(more)
            elif not self._bench.busy:
                return
            self._collect(_POLL_SECONDS)
