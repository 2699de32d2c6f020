"""Runs: what started them, when their events flow, and charges that a workflow states itself."""

from __future__ import annotations

import asyncio
import gc
import os
import threading

import pytest

from taximeter import Meter, MeterSettings
from taximeter.emitter.transport import MemoryTransport
from taximeter.holding import Holding
from taximeter.testing import RecordedMeter
from taximeter_schemas.event import Kind


def test_each_call_of_a_webhook_is_a_run(recorded: RecordedMeter) -> None:
    """With an id of its own, and told apart by the tag `trigger`; the caller's tags stay."""
    for _ in range(2):
        with recorded.meter.run(trigger="webhook", tags={"team": "search"}) as run, run.node("n"):
            pass
    first, second = recorded.events
    assert first.run_id != second.run_id
    assert first.tags == second.tags == {"team": "search", "trigger": "webhook"}


def test_events_flow_while_the_run_goes_on_unless_they_are_to_wait(recorded: RecordedMeter) -> None:
    """Progressively by default; at the end they come in their order, and what is late comes at once."""
    with recorded.meter.run(deliver="at_end") as waiting:
        with recorded.meter.run() as flowing, flowing.node("flowing"):
            pass
        for name in ("a", "b"):
            with waiting.node(name):
                pass
        assert [event.node_id for event in recorded.events] == ["flowing"]
    with waiting.node("late"):
        pass
    assert [event.node_id for event in recorded.events] == ["flowing", "a", "b", "late"]


def test_a_run_that_is_entered_several_times_ends_with_its_last_block(recorded: RecordedMeter) -> None:
    """Its events wait until then, also across threads."""
    run = recorded.meter.run(deliver="at_end")
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        with run, run.node("thread"):
            inside.set()
            leave.wait()

    thread = threading.Thread(target=work)
    with run:
        thread.start()
        inside.wait()
        with run.node("main"):
            pass
    assert recorded.events == []
    leave.set()
    thread.join()
    assert {event.node_id for event in recorded.events} == {"main", "thread"}


def test_too_many_events_do_not_wait(recorded: RecordedMeter) -> None:
    """Beyond the bound they flow at once; nothing is lost."""
    run = recorded.meter.run()
    run._outlet = run._held = Holding(recorded.meter._outlet, most=3)
    with run:
        for number in range(5):
            with run.node(f"n{number}"):
                pass
        assert [event.node_id for event in recorded.events] == ["n3", "n4"]
    assert sorted(event.node_id for event in recorded.events) == [f"n{number}" for number in range(5)]


def test_a_forked_child_does_not_send_what_its_parent_holds(recorded: RecordedMeter) -> None:
    """The events of a run that wait belong to the process that made them."""
    with recorded.meter.run(deliver="at_end") as run:
        with run.node("n"):
            pass
        if (child := os.fork()) == 0:
            run.__exit__(None, None, None)
            os._exit(0 if recorded.meter.counters().accepted == 0 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert recorded.only().node_id == "n"


def test_a_workflow_charges_tokens_and_is_told_whether_they_are_in(recorded: RecordedMeter) -> None:
    """One event of kind usage of its run; False, and never an exception, for what cannot be charged."""

    async def work() -> list[bool]:
        return [
            await recorded.meter.charge_tokens("flow", "user", 10, 2, "gpt-4o", "openai"),
            await recorded.meter.charge_tokens("flow", "user", -1, 2, "gpt-4o", "openai"),
            await recorded.meter.charge_tokens("flow", None, "x", 2, "gpt-4o", "openai"),  # type: ignore[arg-type]  # the point
        ]

    assert asyncio.run(work()) == [True, False, False]
    event = recorded.only()
    assert (event.kind, event.run_id, event.user_id, event.executions) == (Kind.USAGE, "flow", "user", 0)
    assert event.ai
    assert (event.ai.provider, event.ai.input_tokens, event.ai.output_tokens) == ("openai", 10, 2)


@pytest.mark.parametrize("why", ["closed", "full", "off"])
def test_what_has_no_room_is_not_charged(why: str) -> None:
    """The answer is about this charge, whatever other threads send."""
    transport = MemoryTransport()
    transport.silent = True
    meter = Meter(MeterSettings(queue_events=1, enabled=why != "off"), transport)
    if why == "closed":
        meter.close(0)
    if why == "full":
        assert meter.try_usage(ai={"model": "m"})
    assert not meter.try_usage(ai={"model": "m", "input_tokens": 1})
    assert not asyncio.run(meter.charge_tokens("flow", "user", 1, 1, "m", "openai"))
    meter.close(0)


def test_use_that_says_nothing_is_not_taken(recorded: RecordedMeter) -> None:
    """There is nothing to charge in it."""
    assert not recorded.meter.try_usage(run_id="r")
    assert recorded.events == []


@pytest.mark.parametrize("trigger", ["w" * 2_000, object()])
def test_a_trigger_that_makes_no_sense_costs_the_run_nothing_else(recorded: RecordedMeter, trigger: object) -> None:
    """It is cut or written out; who pays is not forgotten over it."""
    with recorded.meter.run(account_id="acme", trigger=trigger) as run, run.node("n"):  # type: ignore[call-overload,arg-type]  # the point
        pass
    assert recorded.only().account_id == "acme"


def test_events_that_waited_for_their_runs_end_find_room() -> None:
    """A run keeps no more than a part of the room, so that its end does not fill it."""
    transport = MemoryTransport()
    meter = Meter(MeterSettings(queue_events=100, when_full="block", block_ms=60_000), transport)
    with meter.run(deliver="at_end") as run:
        for _ in range(1_000):
            with run.node("n"):
                pass
    dropped = dict(meter.counters().dropped)
    assert meter.close(30)
    assert (dropped, len(transport.stored)) == ({}, 1_000)


def test_a_burst_at_a_runs_end_leaves_room_for_others() -> None:
    """With a broker that says nothing, a run that keeps its events is no reason to drop them."""
    transport = MemoryTransport()
    transport.silent = True
    meter = Meter(MeterSettings(queue_events=100), transport)
    with meter.run(deliver="at_end") as run:
        for _ in range(50):
            with run.node("n"):
                pass
        assert meter.counters().accepted == 25
    assert (meter.counters().accepted, dict(meter.counters().dropped)) == (50, {})
    meter.close(0)


def test_a_run_that_was_never_entered_hands_over_what_it_kept(recorded: RecordedMeter) -> None:
    """When nobody holds it any more."""
    run = recorded.meter.run(deliver="at_end")
    with run.node("n") as node:
        pass
    assert recorded.events == []
    del run, node
    gc.collect()
    assert recorded.only().node_id == "n"
