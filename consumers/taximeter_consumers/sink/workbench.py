"""The bundles in hand: which are cut next, which are in flight, and what Kafka is told of each partition. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taximeter_consumers.sink.bundle import Bundle, CutPolicy, aligned
from taximeter_consumers.sink.intent import to_metadata
from taximeter_consumers.sink.parts import USUAL

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping

    from taximeter_consumers.sink.batch import Batch
    from taximeter_consumers.sink.intent import Intent
    from taximeter_consumers.sink.partition import Partition
    from taximeter_consumers.sink.recovery import Rebuild

_NEVER = float("-inf")


class Workbench:
    """Cuts bundles from partitions, and follows them until their batches are stored.

    `aligned_rows` is set where the broker drops commit metadata, so that no intent survives a crash: then a bundle is
    one batch of one partition that begins at a multiple of it, so that mostly the same batches are cut again.
    """

    def __init__(
        self, policy: CutPolicy, most_in_flight: int, log: str, parts_of_a_bundle: Callable[[], float] = lambda: USUAL
    ) -> None:
        self.aligned_rows: int | None = None
        self._parts_of_a_bundle = parts_of_a_bundle
        self._policy = policy
        self._most_in_flight = most_in_flight
        self._log = log
        self._open: dict[Batch, Bundle] = {}
        # As it was announced, until all up to the batch is stored: a gap would be cut again as another batch. Also for
        # a piece of a bundle that was torn since: the whole may be in ClickHouse.
        self._intents: dict[Batch, Intent] = {}
        self._cut_at = _NEVER

    @property
    def busy(self) -> bool:
        """Whether a bundle is in flight."""
        return bool(self._open)

    @property
    def has_room(self) -> bool:
        """Whether another bundle may be put in flight."""
        return len(set(self._open.values())) < self._most_in_flight

    def rebuild(self, partitions: Mapping[int, Partition], rebuilds: list[Rebuild], now: float) -> Bundle | None:
        """The next bundle that was announced before and has been read again; it is taken from `rebuilds`."""
        for rebuild in list(rebuilds):
            if not all(partitions[one.partition].has_read(one) for one in rebuild.intent):
                continue
            rebuilds.remove(rebuild)
            announced = {one.partition: partitions[one.partition].announced[0] for one in rebuild.intent}
            taken = [partitions[one.partition].take_again(one, now) for one in rebuild.intent]
            batches = tuple(batch for batch in taken if batch is not None)
            if batches:
                bundle = self._put_in_flight(Bundle(batches, announced_before=True, torn=rebuild.torn))
                self._intents.update({batch: announced[batch.partition] for batch in batches})
                return bundle
        return None

    def is_cut_off(self, partitions: Mapping[int, Partition], rebuilds: Iterable[Rebuild]) -> bool:
        """Whether a bundle that was announced before reaches past the end of a log that has been read to its end.

        A log that lost its end (an unclean election) may never have those records again."""
        return any(partitions[one.partition].ends_before(one) for rebuild in rebuilds for one in rebuild.intent)

    def cut(
        self, partitions: Mapping[int, Partition], now: float, *, share: float, unread: int, all_of_it: bool
    ) -> Bundle | None:
        """The next bundle if one is due. With `all_of_it` nothing waits for company.

        A partition gives no more while it has as many batches in flight as bundles may be: metadata has its bound."""
        free = (partition for partition in partitions.values() if len(partition.in_flight) < self._most_in_flight)
        held = [one for partition in free if (one := partition.held()) is not None]
        interval = self._policy.interval(share, self._parts_of_a_bundle())
        if not held or (now - self._cut_at < interval and not all_of_it):
            return None
        # While ClickHouse has nothing to do, nothing is gained by waiting for a larger bundle.
        behind = unread if self._open else 0
        if not all_of_it and not self._policy.due(held, now, behind=behind):
            return None
        shares = self._policy.shares(held)
        if self.aligned_rows is not None:
            number = next(iter(shares))
            first = partitions[number].first_waiting or 0
            shares = {number: aligned(first, shares[number], self.aligned_rows)}
        self._cut_at = now
        batches = [partitions[number].take(rows, now) for number, rows in sorted(shares.items())]
        return self._put_in_flight(Bundle(tuple(batches)))

    def ended(self, batches: Iterable[Batch]) -> None:
        """These batches take no room any more; what is announced of them stays until they have landed."""
        for batch in batches:
            self._open.pop(batch, None)

    def landed(self, batches: Iterable[Batch]) -> None:
        """These batches need not be announced any more: they and all before them are stored."""
        for batch in batches:
            self._intents.pop(batch, None)

    def tear(self, numbers: Container[int]) -> list[tuple[Bundle, list[Bundle]]]:
        """Takes partitions out of the bundles in flight: each such bundle, and the pieces of it that remain here."""
        torn = []
        for bundle in dict.fromkeys(self._open.values()):
            if not any(batch.partition in numbers for batch in bundle.batches):
                continue
            staying = [batch for batch in bundle.batches if batch in self._open and batch.partition not in numbers]
            self.ended(bundle.batches)
            pieces = [Bundle((batch,), announced_before=True, torn=True) for batch in staying]
            self._open.update({piece.batches[0]: piece for piece in pieces})
            torn.append((bundle, pieces))
        self._intents = {batch: one for batch, one in self._intents.items() if batch.partition not in numbers}
        return torn

    def position(self, partition: Partition) -> tuple[int, str]:
        """What to commit: the offset below which all is stored, and the bundles that are announced from there on."""
        intents = [self._intents[batch] for batch in partition.in_flight if batch in self._intents]
        return partition.commit_at, to_metadata(self._log, [*intents, *partition.announced])

    def _put_in_flight(self, bundle: Bundle) -> Bundle:
        for batch in bundle.batches:
            self._open[batch] = bundle
            self._intents[batch] = bundle.intent
        return bundle
