"""Parts of the service by themselves: clocks, facts in parts, quotes of the past, threads that must not die."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tests.quota.service.world import PARTITIONS, World, reserve

from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.quota.machine.machine import Machine
from taximeter_consumers.quota.service.checkpoint import Checkpoint, Checkpointer, Part
from taximeter_consumers.quota.service.counters import QuotaCounters
from taximeter_consumers.quota.service.desk import Desk, Line
from taximeter_consumers.quota.service.loads import Wanted
from taximeter_consumers.quota.service.loop import Loop
from taximeter_consumers.quota.service.owner import Owner
from taximeter_consumers.quota.service.parcels import parcels
from taximeter_consumers.quota.service.parts import Parts
from taximeter_consumers.quota.service.promise import require_transactions
from taximeter_consumers.quota.service.settings import QuotaSettings
from taximeter_consumers.quota.truth.ahead import Ahead
from taximeter_schemas.errors import Fenced, Retryable
from taximeter_schemas.quota.commands import Facts, LevelFacts, encoded, root_of
from taximeter_schemas.quota.limits import MINUTE
from taximeter_schemas.quota.subject import partition_of
from taximeter_schemas.settings import ClickHouseSettings


@given(
    skew=st.integers(-10 * MINUTE, 10 * MINUTE),
    delays=st.lists(st.integers(0, 5 * MINUTE), min_size=1, max_size=20),
)
def test_time_by_the_logs_clock_is_never_ahead_of_it(skew: int, delays: list[int]) -> None:
    """However far the clocks are apart, and however late records are heard."""
    ahead, now = Ahead(), 10**15
    assert ahead.by is None
    for delay in delays:
        ahead.heard(now, now + skew + delay)
        assert ahead.by is not None
        now += 1_000
        assert skew <= ahead.by <= skew + max(delays)


def test_a_clock_that_was_set_forward_is_noticed() -> None:
    """After two minutes with records at the latest; one that was set back at once."""
    ahead, now = Ahead(), 10**15
    ahead.heard(now, now)
    for step in range(3):
        ahead.heard(now + step * MINUTE, now + (step + 5) * MINUTE)
    assert ahead.by == 5 * MINUTE
    ahead.heard(now + 3 * MINUTE, now)
    assert ahead.by == -3 * MINUTE


def test_facts_of_many_transactions_come_in_small_records() -> None:
    """The levels first, each once, then what is visible; only the last record says that it is all."""
    levels = {f"user/a/{number}": LevelFacts() for number in range(450)}
    visible = {f"{number:036}": {"total_tokens": Decimal(number)} for number in range(100_000)}
    facts = Facts(root="account/a", as_of=7, complete_until=5, levels=levels, visible=visible, unavailable=("x",))
    parts = list(parcels(facts))
    assert max(len(encoded(part)) for part in parts) < 2**20
    assert [len(part.levels) for part in parts[:4]] == [200, 200, 50, 0]
    assert {key for part in parts for key in part.levels} == levels.keys()
    assert {key: one for part in parts for key, one in part.visible.items()} == visible
    assert not any(part.visible for part in parts[:3])
    assert [part.more for part in parts] == [True] * (len(parts) - 1) + [False]
    assert {part.as_of for part in parts} == {7}


def test_facts_of_few_transactions_come_with_each_level() -> None:
    """What is visible is in the record of every level, so each counts by itself."""
    facts = Facts(root="account/a", as_of=7, levels={str(n): LevelFacts() for n in range(3)}, visible={"t": {}})
    assert [(list(part.levels), list(part.visible), part.more) for part in parcels(facts, levels=2)] == [
        (["0", "1"], ["t"], False),
        (["2"], ["t"], False),
    ]
    nothing = Facts(root="account/a", as_of=7, unavailable=("x",))
    assert list(parcels(nothing)) == [nothing]


def test_a_desk_lives_on_when_even_refusing_fails() -> None:
    """It is logged, and the next question is served."""
    served, refused = threading.Event(), list[str]()

    def answer(_: ClickHouse, questions: Sequence[str]) -> None:
        raise AssertionError(questions)

    def refuse(questions: Sequence[str], _: str) -> None:
        refused.extend(questions)
        if refused[-1] == "last":
            served.set()
        raise ValueError("refusing fails as well")

    line = Line(ClickHouseSettings.model_validate({"url": "http://127.0.0.1:1"}), 1.0, 0.01)
    with capture_logs() as logs:
        desk: Desk[str] = Desk("test", line, answer, refuse)
        desk.ask("first")
        end = time.monotonic() + 30
        while not refused and time.monotonic() < end:
            served.wait(0.01)
        desk.ask("last")
        assert served.wait(30)
        desk.close(30)
    assert refused == ["first", "last"]
    assert any("without an answer" in entry["event"] for entry in logs)


def test_facts_that_kafka_lost_are_asked_for_again() -> None:
    """Whoever is parked waits for them, and the machine itself asks but once."""
    asked, command = list[Wanted](), reserve("acme", 1)
    number = partition_of(root_of(command), PARTITIONS)
    owner = Owner(number, Machine(number, PARTITIONS), start=0)
    parts = SimpleNamespace(
        partitions=PARTITIONS,
        membership=SimpleNamespace(owners={number: owner}),
        replies=SimpleNamespace(facts_lost=0),
        loads=SimpleNamespace(want=asked.append),
    )
    loop = Loop(cast("Parts", parts), QuotaSettings(), QuotaCounters())
    owner.apply(command, 1, 0)
    turn: Any = loop._ask_again
    turn()
    assert asked == []
    parts.replies.facts_lost += 1
    turn()
    turn()
    assert asked == [Wanted(number, "account/acme", frozenset({"account/acme"}))]


@pytest.mark.integration
def test_a_checkpoint_that_goes_wrong_is_told_and_the_thread_lives_on(world: World) -> None:
    """Whatever it is: otherwise decisions would wait for their checkpoint for ever. The loop then drops all and
    restores."""
    checkpointer = Checkpointer(world.kafka, world.topics, f"{world.group}.wrong")
    with capture_logs() as logs:
        for wrong in ("\ud800", "right"):
            checkpointer.submit(Checkpoint({0: Part({wrong: b"{}"}, (), 1, 1)}, None))
            outcome = checkpointer.outcome(30)
            assert outcome is not None
            assert isinstance(outcome.failure, Retryable)
            assert outcome.rolled_back is (wrong == "right")
    assert [entry["event"] for entry in logs] == ["a checkpoint went wrong"]
    checkpointer.close(10)


@pytest.mark.integration
def test_services_that_start_at_once_look_at_the_broker_one_after_the_other(world: World) -> None:
    """Each look fences the one before it, which is then made again."""

    def looked(_: int) -> bool:
        for _ in range(100):
            with suppress(Fenced, Retryable):
                require_transactions(world.kafka, world.topics, world.group)
                return True
        return False

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(looked, range(12)))
