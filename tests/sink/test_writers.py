"""The writers' threads: what they end, what they give up, and what they try again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import cast

import pytest

from taximeter_consumers.sink.batch import Batch
from taximeter_consumers.sink.bundle import Bundle
from taximeter_consumers.sink.flood import FloodGate
from taximeter_consumers.sink.store import Bad, Store
from taximeter_consumers.sink.writers import Finished, Patience, Writers
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.errors import Misconfigured, Poison, Retryable


class _Server:
    """Stands for ClickHouse and the dead letters: the test says when they answer, and what."""

    def __init__(self) -> None:
        self.up = threading.Event()
        self.letters_up = threading.Event()
        self.letters_up.set()
        self.refusals: list[Bundle] = []
        self.bad: Mapping[Batch, Bad] = {}
        self.fatal: Exception | None = None

    def insert(self, bundle: Bundle, attempt: int = 1) -> Mapping[Batch, Bad]:
        if self.fatal is not None:
            raise self.fatal
        if not self.up.is_set():
            self.refusals.append(bundle)
            raise Retryable("away")
        return {batch: bad for batch, bad in self.bad.items() if batch in bundle.batches}

    def settle(self, batches: Sequence[Batch], bad: Mapping[Batch, Bad], attempt: int = 1) -> None:
        if bad and not self.letters_up.is_set():
            raise Retryable("no room for dead letters")


@contextmanager
def _writers(server: _Server, rate: float = 1.0, threads: int = 2) -> Iterator[Writers]:
    gate = FloodGate(rate, window=10)
    writers = Writers(cast("Store", server), gate, threads, Patience(base=0.01, most=0.01))
    with closing(_Closing(lambda: writers.close(10))):
        yield writers


class _Closing:
    def __init__(self, close: Callable[[], None]) -> None:
        self.close = close


def _bundle(*partitions: int) -> Bundle:
    return Bundle(tuple(Batch("t", number, [0, 1], [b"a", b"b"], [1_000] * 2) for number in partitions))


def _ends(writers: Writers, batches: set[Batch]) -> list[Finished]:
    """What ends, until all of `batches` have."""
    ended: list[Finished] = []

    def all_ended() -> bool:
        ended.extend(writers.finished())
        return batches <= {batch for one in ended for batch in one.settled or one.batches}

    assert wait_until(all_ended, 30)
    return ended


@pytest.mark.parametrize("threads", [1, 2])
def test_pieces_of_a_torn_bundle_are_stored(threads: int) -> None:
    """A bundle that cannot be stored yet loses a partition: it is given up, and the pieces that stay are stored.

    The bundle and its pieces have the same batches, and both are under way for a while.
    """
    server = _Server()
    with _writers(server, threads=threads) as writers:
        whole = _bundle(0, 1, 2)
        writers.submit(whole)
        assert wait_until(lambda: len(server.refusals) >= 2, 30)
        writers.give_up(whole)
        pieces = [Bundle((batch,), announced_before=True, torn=True) for batch in whole.batches[:2]]
        for piece in pieces:
            writers.submit(piece)
        assert wait_until(lambda: all(server.refusals.count(piece) >= 2 for piece in pieces), 30)
        server.up.set()
        settled: set[Batch] = set()
        assert wait_until(
            lambda: settled.update(*(one.settled or {} for one in writers.finished())) or len(settled) == 2, 30
        )
    assert settled == set(whole.batches[:2])


def test_what_was_given_up_ends_without_a_word_of_success() -> None:
    """No attempt is made any more, and nothing counts as stored."""
    server = _Server()
    with _writers(server) as writers:
        bundle = _bundle(0, 1)
        writers.submit(bundle)
        assert wait_until(lambda: server.refusals, 30)
        writers.give_up(bundle)
        (ended,) = _ends(writers, set(bundle.batches))
    assert ended == Finished(bundle.batches)


def test_a_batch_whose_dead_letters_find_no_room_holds_up_no_other() -> None:
    """The clean batches of the same bundle are settled at once, the dirty one when there is room."""
    server = _Server()
    server.up.set()
    server.letters_up.clear()
    bundle = _bundle(0, 1, 2)
    server.bad = {bundle.batches[1]: {0: Poison("empty", "nothing")}}
    with _writers(server) as writers:
        writers.submit(bundle)
        clean = {bundle.batches[0], bundle.batches[2]}
        told = _ends(writers, set(bundle.batches))
        assert told[0].settled == dict.fromkeys(clean, 0)
        # It takes no room from other bundles while it waits.
        assert told[1] == Finished((bundle.batches[1],), inserted=True)
        server.letters_up.set()
        (last,) = _ends(writers, {bundle.batches[1]})
    assert last.settled == {bundle.batches[1]: 1}


def test_a_flood_stops_its_batch_and_no_other() -> None:
    """The batch with too many bad records is told apart; the others are settled."""
    server = _Server()
    server.up.set()
    bundle = _bundle(0, 1)
    server.bad = {bundle.batches[0]: {0: Poison("empty", "nothing"), 1: Poison("empty", "nothing")}}
    with _writers(server, rate=0.1) as writers:
        writers.submit(bundle)
        ended = _ends(writers, set(bundle.batches))
    assert {one.batches: (one.flood is not None, one.settled) for one in ended} == {
        (bundle.batches[0],): (True, None),
        (bundle.batches[1],): (False, {bundle.batches[1]: 0}),
    }


@pytest.mark.parametrize("error", [Misconfigured("no table", mend="migrate"), AssertionError("a bug")])
def test_what_no_retry_mends_reaches_the_loop(error: Exception) -> None:
    """An operator's error and a bug are handed over; a dead thread would look like silence."""
    server = _Server()
    server.fatal = error
    with _writers(server) as writers:
        bundle = _bundle(0)
        writers.submit(bundle)
        (ended,) = _ends(writers, set(bundle.batches))
    assert ended.failure is error
