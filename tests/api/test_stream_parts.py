"""Streams without servers: frames, what is worth telling, boards and readers, who is let in, slow readers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter_consumers.api.problems import Problem
from taximeter_consumers.api.readiness import Facts, Unread, Verdict
from taximeter_consumers.api.services import services_of
from taximeter_consumers.api.settings import ApiSettings
from taximeter_consumers.api.stream.admission import Admission, Door
from taximeter_consumers.api.stream.board import Board, Reader
from taximeter_consumers.api.stream.frames import frame
from taximeter_consumers.api.stream.response import EventStream
from taximeter_consumers.api.stream.streams import Streams
from taximeter_consumers.api.stream.watched import changed, is_worth_telling, visible
from taximeter_schemas.settings import ClickHouseSettings

DOOR = Door("key 1", 2)
texts = st.dictionaries(st.sampled_from("abc"), st.text("xyz", max_size=2), max_size=3)


def told(frames: bytes) -> dict[str, str]:
    """Event to data, of the last frame of each event."""
    found = {}
    for part in frames.decode().split("\n\n")[:-1]:
        _, event, data = part.split("\n")
        found[event.removeprefix("event: ")] = data.removeprefix("data: ")
    return found


@given(st.integers(1), st.text(max_size=20), st.text(max_size=40))
def test_a_frame_is_one_event_or_is_refused(number: int, event: str, data: str) -> None:
    """Nothing that is told can begin another event."""
    try:
        sent = frame(number, event, data).decode()
    except ValueError:
        assert any(mark in event + data for mark in "\r\n")
        return
    assert sent.count("\n") == 4
    assert sent == f"id: {number}\nevent: {event}\ndata: {data}\n\n"


@given(texts, texts)
def test_what_changed_makes_what_is_shown_what_was_seen(shown: dict[str, str], seen: dict[str, str]) -> None:
    """And no event that stands already is among it."""
    news = changed(shown, seen)
    assert {**shown, **news} == {**shown, **seen}
    assert all(shown.get(event) != data for event, data in news.items())


@given(st.lists(st.tuples(texts | st.none(), st.sets(st.integers(0, 2))), max_size=12))
def test_each_reader_has_the_newest_whenever_it_reads(steps: list[tuple[dict[str, str] | None, set[int]]]) -> None:
    """However rarely it reads, after it has read it knows what stands on the board, and is told nothing twice in a row;
    trouble is told once and then all anew."""
    board = Board()
    readers = [Reader(DOOR, [board]) for _ in range(3)]
    known: list[dict[str, str]] = [{}, {}, {}]
    for seen, who in steps:
        board.trouble("away") if seen is None else board.write(seen)
        for number in who:
            reader = readers[number]
            news = told(reader.take())
            assert told(reader.take()) == {}
            known[number] |= news
            for event, (_, data) in board.written.items():
                assert known[number][event] == data
    late = Reader(DOOR, [board])
    assert told(late.take()) == {event: data for event, (_, data) in board.written.items()}


def test_a_reader_is_told_that_numbers_hold_again_after_trouble() -> None:
    """The same numbers are sent again; nothing is sent while nothing changes."""
    board = Board()
    reader = Reader(DOOR, [board])
    board.write({"usage": "1"})
    assert told(reader.take()) == {"usage": "1"}
    board.write({"usage": "1"})
    assert reader.take() == b""
    board.trouble("away")
    board.trouble("away")
    assert told(reader.take()) == {"trouble": "away"}
    board.write({"usage": "1"})
    assert told(reader.take()) == {"usage": "1"}
    board.write({})
    assert told(Reader(DOOR, [board]).take()) == {}


def test_ages_are_told_as_a_person_reads_them() -> None:
    """By the second, then by ten, then by the minute; every ten seconds in any case."""
    facts = Facts(clickhouse=True, rollup_lag_seconds=0.2, last_stored_seconds=61.0, unread=Unread(0, {}))

    def seen(**more: Any) -> tuple[object, ...]:
        return visible(Verdict(True, (), replace(facts, **more)))

    assert not is_worth_telling(seen(), seen(rollup_lag_seconds=0.9, last_stored_seconds=119.0), 9)
    assert is_worth_telling(seen(), seen(), 10)
    assert is_worth_telling(None, seen(), 0)
    for more in (
        {"rollup_lag_seconds": 1.0},
        {"rollup_lag_seconds": None},
        {"last_stored_seconds": 120.0},
        {"last_stored_seconds": 59.0},
        {"unread": Unread(1, {})},
    ):
        assert is_worth_telling(seen(), seen(**more), 0), more
    assert is_worth_telling(seen(), visible(Verdict(False, ("why",), facts)), 0)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=60), st.integers(1, 5), st.integers(1, 3))
def test_never_more_are_let_in_than_may_be(steps: list[tuple[bool, int]], most: int, each: int) -> None:
    """By door and in all; who left makes room for another."""
    admission, inside = Admission(most), [0, 0, 0, 0]
    for enters, number in steps:
        door = Door(str(number), each)
        if enters:
            if inside[number] < each and sum(inside) < most:
                admission.enter(door)
                inside[number] += 1
            else:
                with pytest.raises(Problem) as refused:
                    admission.enter(door)
                assert refused.value.slug == ("too-many-requests" if inside[number] >= each else "unavailable")
                assert int(refused.value.headers["Retry-After"]) > 0
        elif inside[number]:
            admission.leave(door)
            inside[number] -= 1
        assert admission.count == sum(inside) <= most
        assert max(inside) <= each


class Transport(asyncio.Transport):
    """Notices that it is broken off."""

    aborted = False

    def abort(self) -> None:
        """Broken off."""
        self.aborted = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Nothing."""
        return default


def test_a_reader_that_takes_nothing_is_dropped() -> None:
    """Its connection is broken, its place is free, and nothing was kept for it."""
    services = services_of(ClickHouseSettings(), ApiSettings(stream_stall_seconds=0.01))

    async def run() -> tuple[bool, int]:
        streams, board, transport = Streams(services), Board(), Transport()
        reader = Reader(DOOR, [board])
        streams._readers.add(reader)
        streams._admission.enter(DOOR)

        async def never(_: Any = None) -> Any:
            await asyncio.Event().wait()

        await EventStream(streams, reader, services)({"type": "http", "state": {"transport": transport}}, never, never)
        return transport.aborted, streams._admission.count + len(board.readers)

    assert asyncio.run(run()) == (True, 0)
    assert services.metrics.registry.get_sample_value("taximeter_api_dropped_streams_total") == 1


def test_after_the_end_nobody_is_let_in() -> None:
    """503, to connect elsewhere; and again after a new beginning."""
    services = services_of(ClickHouseSettings(), ApiSettings())

    async def run() -> None:
        from taximeter_consumers.api.stream.watched import Watched

        streams = Streams(services)
        reader = streams.open(Watched("a"), DOOR)
        streams.end()
        assert reader.ending == ""
        with pytest.raises(Problem) as refused:
            streams.open(Watched("a"), DOOR)
        assert refused.value.slug == "unavailable"
        streams.close(reader)
        streams.begin()
        await asyncio.sleep(0)
        streams.close(streams.open(Watched("a"), DOOR))
        streams.end()

    asyncio.run(run())
