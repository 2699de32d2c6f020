"""Bundles from the cut to the commit, held against a model of the log, the engine and crashes.

The model's world is a log with gaps, a store that keeps whatever any owner inserted, the offsets that Kafka has, and
one or two owners. These cut, announce, store and commit in any order, are killed, and give partitions back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.sink.records import message

from taximeter_consumers.sink.bundle import Bundle, CutPolicy
from taximeter_consumers.sink.intent import MOST_SLICES, Slice, Standing, from_metadata, to_metadata
from taximeter_consumers.sink.partition import Partition
from taximeter_consumers.sink.recovery import Rebuild, to_rebuild, without
from taximeter_consumers.sink.workbench import Workbench

POLICY = CutPolicy(records=12, bytes=10_000, age_seconds=0.05, patient_seconds=1.0, parts_per_second=1e6)
LOG = "log"
# Offsets of 13 digits.
BASE = 10**12
PARTITIONS = range(4)
MOST_IN_FLIGHT = 3
MOST_METADATA = 4096

Content = tuple[str, str]


@dataclass
class Owner:
    """A sink: what it has of the partitions that it owns."""

    partitions: dict[int, Partition] = field(default_factory=dict)
    rebuilds: list[Rebuild] = field(default_factory=list)
    bench: Workbench = field(default_factory=lambda: Workbench(POLICY, MOST_IN_FLIGHT, LOG))
    cut: list[Bundle] = field(default_factory=list)
    flying: list[Bundle] = field(default_factory=list)


class SinkModel(RuleBasedStateMachine):
    """Crashes, rebalances and storage in any order."""

    @initialize(gaps=st.lists(st.integers(1, 3), min_size=40, max_size=160))
    def open(self, gaps: list[int]) -> None:
        """A log with gaps in its offsets; one owner of all."""
        self.clock = count(1)
        self.log: dict[int, list[int]] = {number: [] for number in PARTITIONS}
        at = dict.fromkeys(PARTITIONS, BASE)
        for index, gap in enumerate(gaps):
            number = index * 7 % 11 % len(PARTITIONS)
            at[number] += gap
            self.log[number].append(at[number])
        self.ends = {number: one + 1 for number, one in at.items()}
        self.kafka: dict[int, tuple[int, str]] = {number: (BASE, to_metadata(LOG, [])) for number in PARTITIONS}
        # What the engine has: records, and the slices in which they came.
        self.stored: dict[int, set[int]] = {number: set() for number in PARTITIONS}
        self.inserted: set[Slice] = set()
        self.batch_ids: dict[Slice, int] = {}
        self.identities: dict[tuple[Slice, ...], str] = {}
        self.owners: list[Owner] = []
        self._take_over([set(PARTITIONS)])

    def _take_over(self, split: list[set[int]]) -> None:
        self.owners = [Owner() for _ in split]
        for owner, numbers in zip(self.owners, split, strict=True):
            self._assign(owner, numbers)

    def _assign(self, owner: Owner, numbers: set[int]) -> None:
        standings = {number: from_metadata(self.kafka[number][1], number, self.kafka[number][0]) for number in numbers}
        for number, standing in standings.items():
            owner.partitions[number] = Partition("t", number, standing.offset, standing.intents)
        owner.rebuilds += to_rebuild(standings)

    def _owner(self, which: int) -> Owner:
        return self.owners[which % len(self.owners)]

    @rule(which=st.integers(0, 1), number=st.sampled_from(PARTITIONS), rows=st.integers(1, 9))
    def read(self, which: int, number: int, rows: int) -> None:
        """The consumer hands over the next records of a partition, or tells its end."""
        owner = self._owner(which)
        if number in owner.partitions:
            self._read(owner.partitions[number], rows)

    def _read(self, partition: Partition, rows: int) -> None:
        at = partition.next_offset
        ahead = [offset for offset in self.log[partition.number] if offset >= at][:rows]
        if ahead:
            partition.offer([message(partition.number, offset) for offset in ahead], float(next(self.clock)))
        if len(ahead) < rows:
            partition.reached(self.ends[partition.number])

    @rule(which=st.integers(0, 1), announce=st.booleans(), rows=st.integers(0, 9))
    def turn(self, which: int, announce: bool, rows: int) -> None:
        """A turn of the loop: read, cut what may be cut, tell Kafka, store. The commit may not be taken."""
        owner = self._owner(which)
        for partition in owner.partitions.values():
            self._read(partition, rows)
        while owner.bench.has_room and (bundle := self._cut(owner)) is not None:
            owner.cut.append(bundle)
        if announce:
            self._commit(owner, owner.partitions)
            owner.flying += owner.cut
            owner.cut.clear()

    def _cut(self, owner: Owner) -> Bundle | None:
        now = float(next(self.clock))
        pending = list(owner.rebuilds)
        bundle = owner.bench.rebuild(owner.partitions, owner.rebuilds, now)
        if bundle is not None:
            (rebuild,) = [one for one in pending if one not in owner.rebuilds]
            assert bundle.announced_before
            assert (bundle.intent, bundle.torn) == (rebuild.intent, rebuild.torn)
        else:
            bundle = owner.bench.cut(owner.partitions, now, share=1, unread=0, all_of_it=True)
        if bundle is not None:
            self._check_content(bundle)
        return bundle

    def _check_content(self, bundle: Bundle) -> None:
        # Whoever cuts the same slices again has the same bytes: the engine recognises the bundle, the count its pieces.
        assert self.identities.setdefault(bundle.intent, bundle.identity) == bundle.identity
        for batch in bundle.batches:
            assert self.batch_ids.setdefault(batch.slice, batch.batch_id) == batch.batch_id
            assert list(batch.offsets) == [
                offset for offset in self.log[batch.partition] if batch.first <= offset <= batch.last
            ]

    def _commit(self, owner: Owner, numbers: object) -> None:
        for number in list(numbers):  # type: ignore[call-overload]  # any collection of the owner's partitions
            self.kafka[number] = owner.bench.position(owner.partitions[number])

    @rule(which=st.integers(0, 1), bundle=st.integers(0, 2), some=st.integers(1, 4), commit=st.booleans())
    def store(self, which: int, bundle: int, some: int, commit: bool) -> None:
        """A bundle in flight is inserted; some of its batches are settled now, the others later."""
        owner = self._owner(which)
        if not owner.flying:
            return
        stored = owner.flying.pop(bundle % len(owner.flying))
        self._insert(stored)
        for batch in stored.batches[:some]:
            owner.bench.ended([batch])
            owner.bench.landed(owner.partitions[batch.partition].stored(batch))
        if stored.batches[some:]:
            owner.flying.append(Bundle(stored.batches[some:], announced_before=True, torn=True))
        if commit:
            self._commit(owner, owner.partitions)

    def _insert(self, bundle: Bundle) -> None:
        for batch in bundle.batches:
            self.stored[batch.partition].update(batch.offsets)
            self.inserted.add(batch.slice)

    @rule(split=st.sets(st.sampled_from(PARTITIONS)), inserted=st.sets(st.integers(0, 5)))
    def crash(self, split: set[int], inserted: set[int]) -> None:
        """All owners die; what was on its way may have been inserted. One or two new owners take over."""
        flying = [bundle for owner in self.owners for bundle in owner.flying]
        for index, bundle in enumerate(flying):
            if index in inserted:
                self._insert(bundle)
        announced = [bundle for owner in self.owners for bundle in owner.flying]
        rest = set(PARTITIONS) - split
        self._take_over([part for part in (split, rest) if part])
        if len(self.owners) == 1:
            # Whole bundles that were on their way and are announced by all of their partitions come again as they were.
            again = {rebuild.intent for rebuild in self.owners[0].rebuilds if not rebuild.torn}
            standings = {n: from_metadata(meta, n, at) for n, (at, meta) in self.kafka.items()}
            for bundle in announced:
                if all(bundle.intent in standings[batch.partition].intents for batch in bundle.batches):
                    assert bundle.intent in again
        for owner in self.owners:
            self._check_announced(owner, set(owner.partitions))

    def _check_announced(self, owner: Owner, assigned: set[int]) -> None:
        pieces = [one for rebuild in owner.rebuilds for one in rebuild.intent]
        for number in assigned:
            committed = [
                next(one for one in intent if one.partition == number)
                for intent in from_metadata(self.kafka[number][1], number, self.kafka[number][0]).intents
            ]
            assert sorted(one for one in pieces if one.partition == number) == committed

    @precondition(lambda self: len(self.owners) == 2)
    @rule(giver=st.integers(0, 1), numbers=st.sets(st.sampled_from(PARTITIONS)), told=st.booleans())
    def give_back(self, giver: int, numbers: set[int], told: bool) -> None:
        """A rebalance: partitions go to the other owner, after a last commit or (lost) without one."""
        owner, other = self.owners[giver], self.owners[1 - giver]
        leaving = numbers & set(owner.partitions)
        if told:
            self._commit(owner, leaving)
        for bundle, pieces in owner.bench.tear(leaving):
            where = owner.cut if bundle in owner.cut else owner.flying
            if bundle in where:
                where.remove(bundle)
            # A bundle of which some is settled already flies on under another name here.
            owner.flying = [one for one in owner.flying if not set(one.batches) & set(bundle.batches)]
            where.extend(pieces)
            for piece in pieces:
                (batch,) = piece.batches
                assert piece.torn
                assert batch in bundle.batches
                self._check_content(piece)
        for number in leaving:
            del owner.partitions[number]
        owner.rebuilds = without(owner.rebuilds, leaving)
        self._assign(other, leaving)
        self._check_announced(other, leaving)

    @invariant()
    def nothing_is_committed_past_what_is_not_stored(self) -> None:
        """Below the committed offset every record of the log is stored."""
        for number, (offset, _) in self.kafka.items():
            assert {one for one in self.log[number] if one < offset} <= self.stored[number]

    @invariant()
    def what_may_be_stored_is_cut_the_same_again(self) -> None:
        """Whatever was inserted from the committed offset on is announced there as it was, through any deaths."""
        for number, (offset, metadata) in self.kafka.items():
            announced = {one for intent in from_metadata(metadata, number, offset).intents for one in intent}
            assert {one for one in self.inserted if one.partition == number and one.first >= offset} <= announced

    @invariant()
    def metadata_keeps_its_bound_and_is_understood(self) -> None:
        """What Kafka was told fits into its bound, is read as it was meant, and begins at the offset or later."""
        for number, (offset, metadata) in self.kafka.items():
            assert len(metadata.encode()) < MOST_METADATA
            standing = from_metadata(metadata, number, offset)
            assert to_metadata(LOG, standing.intents) == metadata
            assert len(standing.intents) <= MOST_IN_FLIGHT

    @invariant()
    def no_announced_slice_is_lost(self) -> None:
        """What is announced of a partition is in flight or to be cut again, in the order of the log."""
        for owner in self.owners:
            pending = [one for rebuild in owner.rebuilds for one in rebuild.intent]
            for number, partition in owner.partitions.items():
                mine = [next(one for one in intent if one.partition == number) for intent in partition.announced]
                assert sorted(one for one in pending if one.partition == number) == mine

    def teardown(self) -> None:
        """From any state, once nobody dies any more, all of the log is stored and committed."""
        if not hasattr(self, "owners"):
            return
        for owner in self.owners:
            for _ in range(1_000):
                for partition in owner.partitions.values():
                    self._read(partition, 100)
                while owner.bench.has_room and (bundle := self._cut(owner)) is not None:
                    owner.cut.append(bundle)
                self._commit(owner, owner.partitions)
                done, owner.cut, owner.flying = [*owner.flying, *owner.cut], [], []
                if not done:
                    break
                for bundle in done:
                    self._insert(bundle)
                    for batch in bundle.batches:
                        owner.bench.ended([batch])
                        owner.bench.landed(owner.partitions[batch.partition].stored(batch))
            assert not owner.bench.busy
            assert owner.rebuilds == []
            for number, partition in owner.partitions.items():
                assert (partition.idle, partition.rebuilding) == (True, False)
                assert set(self.log[number]) <= self.stored[number]
                log = self.log[number]
                assert owner.bench.position(partition) == (log[-1] + 1 if log else BASE, to_metadata(LOG, []))


TestSink = SinkModel.TestCase
TestSink.settings = settings(max_examples=40, stateful_step_count=50, deadline=None)


def _all_in_one(partitions: dict[int, Partition], bench: Workbench, now: float) -> Bundle:
    bundle = bench.cut(partitions, now, share=1, unread=0, all_of_it=True)
    assert bundle is not None
    return bundle


def _filled(numbers: range, records: int = 50) -> dict[int, Partition]:
    partitions = {number: Partition("t", number, 0) for number in numbers}
    for partition in partitions.values():
        partition.offer([message(partition.number, offset) for offset in range(records)], 0.0)
    return partitions


def test_what_is_stored_out_of_order_is_announced_until_it_has_landed() -> None:
    """Else the gap would be cut again as another batch: the ledger would overlap and the rows lie there twice."""
    partitions, bench = _filled(range(1)), Workbench(POLICY, 3, LOG)
    bundles = [_all_in_one(partitions, bench, float(now)) for now in range(3)]
    for later in bundles[1:]:
        bench.ended(later.batches)
        bench.landed(partitions[0].stored(later.batches[0]))
    assert bench.position(partitions[0]) == (0, to_metadata(LOG, [bundle.intent for bundle in bundles]))
    # Two of three places are free, and the partition gives no more: its metadata is full.
    assert bench.has_room
    assert bench.cut(partitions, 9.0, share=1, unread=0, all_of_it=True) is None
    bench.ended(bundles[0].batches)
    bench.landed(partitions[0].stored(bundles[0].batches[0]))
    assert bench.position(partitions[0]) == (36, to_metadata(LOG, []))


def test_a_partition_that_waits_holds_up_no_other() -> None:
    """One partition's oldest batch hangs; the others' bundles go on as before."""
    partitions, bench = _filled(range(2), records=500), Workbench(POLICY, 3, LOG)
    hung = _all_in_one({0: partitions[0]}, bench, 0.0)
    for now in range(1, 30):
        bundle = _all_in_one(partitions, bench, float(now))
        bench.ended(bundle.batches)
        for batch in bundle.batches:
            bench.landed(partitions[batch.partition].stored(batch))
    assert partitions[0].commit_at == hung.batches[0].first == 0
    assert len(partitions[0].in_flight) == 3
    assert partitions[1].commit_at > 300


def test_a_torn_piece_stays_announced_as_the_bundle_that_it_was_part_of() -> None:
    """The whole may be in the engine: a third owner must count before it inserts, as the second did."""
    whole = (Slice(0, 0, 4), Slice(1, 0, 4))
    standings = {0: Standing(0, LOG, (whole,))}
    partitions = {0: Partition("t", 0, 0, (whole,))}
    partitions[0].offer([message(0, offset) for offset in range(9)], 0.0)
    bench, rebuilds = Workbench(POLICY, 3, LOG), to_rebuild(standings)
    assert bench.position(partitions[0]) == (0, to_metadata(LOG, [whole]))
    piece = bench.rebuild(partitions, rebuilds, 0.0)
    assert piece is not None
    assert (piece.intent, piece.torn) == ((Slice(0, 0, 4),), True)
    assert bench.position(partitions[0]) == (0, to_metadata(LOG, [whole]))


def test_with_aligned_batches_a_bundle_is_one_batch() -> None:
    """Where the broker drops metadata: one partition at a time, each batch up to the next multiple."""
    partitions, bench = _filled(range(3)), Workbench(POLICY, 3, LOG)
    bench.aligned_rows = 5
    slices = [_all_in_one(partitions, bench, float(now)).intent for now in range(1, 4)]
    assert slices == [(Slice(0, 0, 4),), (Slice(1, 0, 4),), (Slice(2, 0, 4),)]


def test_a_bundle_takes_no_more_slices_than_metadata_has_room_for() -> None:
    """Of more partitions the ones that have waited longest go first, the others with the next bundle."""
    partitions, bench = _filled(range(50), records=1), Workbench(CutPolicy(10**6, 10**9, 1, 1, 1e6), 3, LOG)
    first, second = (_all_in_one(partitions, bench, float(now)) for now in range(2))
    assert (len(first.batches), len(second.batches)) == (MOST_SLICES, 50 - MOST_SLICES)
