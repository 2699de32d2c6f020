"""Batches into ClickHouse by the sink's own way: splice, one INSERT, then the ledger. Nothing runs once for each event
but in C.

The ledger of the target is the state: a batch that is in it is not stored again, so a replay that was killed goes on
where it was. What was inserted and not entered is inserted again, and its events collapse by their ids. Bad records are
counted and go nowhere: of a topic that a sink has read they are dead letters already.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from taximeter_consumers import failpoints
from taximeter_consumers.replay.cuts import Cut, Cutter, cuts_of
from taximeter_consumers.replay.topic_range import Span, TopicRange
from taximeter_consumers.replay.unlisted import unlisted
from taximeter_consumers.sink.bundle import Bundle
from taximeter_consumers.sink.ledger import Ledger
from taximeter_consumers.sink.store import Store
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.replay.pace import Pace
    from taximeter_consumers.replay.source import Source
    from taximeter_consumers.sink.batch import Batch
    from taximeter_consumers.sink.dead_letters import DeadLetter
    from taximeter_schemas.registry import Registry

_RECORDS: Final = 100_000
_BYTES: Final = 64 * 2**20
# Parameters of an INSERT have one place for each batch, and the server bounds their length.
_BATCHES: Final = 400
_INSERTS_AT_ONCE: Final = 2
_ATTEMPTS: Final = 30
_LONGEST_WAIT_SECONDS: Final = 10.0

_KNOWN: Final = """
SELECT kafka_partition, first_offset, last_offset FROM ingest_batches
WHERE kafka_topic = {topic:String} AND kafka_log = {log:String}
"""


@dataclass
class Stored:
    """What a replay into ClickHouse has done: messages and batches stored now, dead ones among them, and batches that
    were there before."""

    records: int = 0
    bad: int = 0
    batches: int = 0
    there_before: int = 0
    batch_ids: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Target:
    """Where batches are stored. `again`: also what its ledger has already, and what it has lost below `settled`, the
    sink's own offsets by partition. `only`: those that it says yes to."""

    clickhouse: ClickHouse
    registry: Registry
    again: bool = False
    only: Callable[[Batch], bool] | None = None
    settled: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What is to be stored of a source: the batches of each partition. `is_known`: as a ledger has them."""

    topic: str
    log: str
    cuts: dict[int, list[Cut]]
    there_before: int = 0
    is_known: bool = False

    @property
    def offsets(self) -> int:
        """At most so many messages are read."""
        return sum(cut.last - cut.first + 1 for cuts in self.cuts.values() for cut in cuts)

    @property
    def batches(self) -> int:
        """How many batches are stored."""
        return sum(map(len, self.cuts.values()))

    @property
    def spans(self) -> list[Span]:
        """What is to be read."""
        return [Span(partition, cuts[0].first, cuts[-1].last + 1) for partition, cuts in self.cuts.items() if cuts]


class _Nobody:
    """Dead letters of a replay."""

    def write(self, _letters: Sequence[DeadLetter], _attempts: int, /) -> None:
        """They are dead letters already."""


def known_cuts(clickhouse: ClickHouse, topic: str, log: str) -> dict[int, list[Cut]]:
    """The batches of a log that a ledger has, by partition. Raises Retryable or Misconfigured."""
    found: dict[int, list[Cut]] = {}
    for partition, first, last in clickhouse.rows(_KNOWN, {"topic": topic, "log": log}):
        found.setdefault(partition, []).append(Cut(first, last))
    return found


def plan(source: Source, log: str, spans: Sequence[Span], ledger: ClickHouse, target: Target) -> Plan:
    """What of `spans` is to be stored, without what the target's ledger has. Of a log that `ledger` knows only the
    batches that it has, and with `again` those that it should have: the rest is the sink's to store, and would be
    stored in two ways. Of another log all."""
    known = known_cuts(ledger, source.topic, log)
    there = {} if target.again else known_cuts(target.clickhouse, source.topic, log)
    logs = {log_span.partition: log_span for log_span in source.spans(TopicRange())}
    if target.again:
        settled = [replace(one, end=min(one.end, target.settled.get(one.partition, 0))) for one in logs.values()]
        for partition, lost in unlisted(target.clickhouse, source, settled, known).items():
            known.setdefault(partition, []).extend(lost)
    cuts: dict[int, list[Cut]] = {}
    skipped = 0
    for span in spans:
        wanted = cuts_of(span, known.get(span.partition, ()), logs[span.partition], known_only=bool(known))
        done = set(there.get(span.partition, ()))
        left = [cut for cut in wanted if cut not in done]
        skipped += len(wanted) - len(left)
        if left:
            cuts[span.partition] = left
    return Plan(source.topic, log, cuts, skipped, is_known=bool(known))


def store(
    source: Source,
    todo: Plan,
    target: Target,
    on_progress: Callable[[int], None] = lambda _: None,
    pace: Pace | None = None,
) -> Stored:
    """Stores what is planned. Raises Retryable when ClickHouse stays away for minutes, what the source raises, and
    Misconfigured; what was stored stays, and the same call goes on from there."""
    ledger = Ledger(target.clickhouse, todo.topic, todo.log)
    writer = Store(target.clickhouse, target.registry, _Nobody(), ledger, recognise=not target.again)
    done = Stored(there_before=todo.there_before)
    in_flight: list[Future[list[tuple[Batch, int]]]] = []
    with ThreadPoolExecutor(_INSERTS_AT_ONCE, thread_name_prefix="replay") as threads:
        for bundle in _bundles(filter(target.only or (lambda _: True), _batches(source, todo, pace))):
            while len(in_flight) > _INSERTS_AT_ONCE:
                _count(done, in_flight.pop(0).result(), on_progress)
            in_flight.append(threads.submit(_store_one, writer, ledger, bundle))
        for last in in_flight:
            _count(done, last.result(), on_progress)
    return done


def _batches(source: Source, todo: Plan, pace: Pace | None) -> Iterator[Batch]:
    cutter = Cutter(todo.topic, todo.cuts)
    read = 0
    for messages in source.batches(todo.spans):
        read += len(messages)
        if pace is not None:
            pace.at(read)
        yield from cutter.offer(messages[0].partition(), messages)
    yield from cutter.rest()


def _bundles(batches: Iterable[Batch]) -> Iterator[Bundle]:
    taken: list[Batch] = []
    records = size = 0
    for batch in batches:
        if taken and (records + len(batch.values) > _RECORDS or size + batch.bytes > _BYTES or len(taken) == _BATCHES):
            yield _bundle(taken)
            taken, records, size = [], 0, 0
        taken.append(batch)
        records, size = records + len(batch.values), size + batch.bytes
    if taken:
        yield _bundle(taken)


def _bundle(batches: Sequence[Batch]) -> Bundle:
    return Bundle(tuple(sorted(batches, key=lambda batch: (batch.partition, batch.first))))


def _store_one(writer: Store, ledger: Ledger, bundle: Bundle) -> list[tuple[Batch, int]]:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            bad = writer.insert(bundle, attempt)
            failpoints.reached("replay.before_ledger")
            counts = [len(bad.get(batch, ())) for batch in bundle.batches]
            ledger.enter(bundle.batches, counts)
        except Retryable:
            if attempt == _ATTEMPTS:
                raise
            time.sleep(min(_LONGEST_WAIT_SECONDS, 0.1 * 2 ** min(attempt, 10)))
        else:
            return list(zip(bundle.batches, counts, strict=True))
    raise AssertionError("unreachable")


def _count(done: Stored, stored: Sequence[tuple[Batch, int]], on_progress: Callable[[int], None]) -> None:
    for batch, bad in stored:
        done.records += len(batch.values)
        done.bad += bad
        done.batches += 1
        done.batch_ids.append(batch.batch_id)
    on_progress(done.records)
