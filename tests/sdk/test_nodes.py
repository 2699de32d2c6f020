"""Nodes: one attempt, one event with `executions = 1`; everything it used, once."""

from __future__ import annotations

import asyncio
import concurrent.futures
import subprocess
from decimal import Decimal, localcontext

import pytest

from taximeter import current_node, current_run
from taximeter.testing import RecordedMeter, memory_meter
from taximeter_schemas.event import Context, Kind, Outcome, Quality
from taximeter_schemas.uuid7 import birth_of


def test_a_node_emits_one_event_with_everything_it_used(recorded: RecordedMeter) -> None:
    """One model, one plugin, HTTP and code of one attempt stand on one event, under the run's attribution."""
    with recorded.meter.run(
        account_id="acme", user_id="u1", project_id="p", workflow_id="wf", run_id="r1", thread_id="t",
        transaction_id="tx", context="system", tags={"team": "search"},
    ) as run, run.node("summarise", node_type="ai", attempt=2, agent_name="scribe") as node:  # fmt: skip
        node.ai(provider="openai", model="gpt-4o", input_tokens=10, output_tokens=5, response_id="a")
        node.http(requests=1, bytes_out=7, bytes_in=9, errors=1)
        node.plugin("pdf", units={"pages": Decimal(3)})
        node.code(cpu_us=11, max_rss_bytes=13)
    event = recorded.only()
    assert (event.kind, event.executions, event.outcome, event.attempt) == (Kind.NODE, 1, Outcome.SUCCESS, 2)
    assert (event.account_id, event.run_id, event.workflow_id, event.context) == ("acme", "r1", "wf", Context.SYSTEM)
    assert event.tags == {"team": "search"}
    assert event.ai is not None
    assert (event.ai.total_tokens, event.ai.quality, event.ai.response_id) == (15, Quality.REPORTED, "a")
    assert event.http is not None
    assert (event.http.requests, event.http.bytes_out, event.http.bytes_in, event.http.errors) == (1, 7, 9, 1)
    assert event.plugin is not None
    assert event.plugin.custom_units == {"pages": Decimal(3)}
    assert event.code is not None
    assert (event.code.cpu_us, event.code.max_rss_bytes) == (11, 13)
    assert recorded.transport.stored[0][0] == b"r1"


def test_the_id_carries_the_moment_of_the_event(recorded: RecordedMeter) -> None:
    """The millisecond in `event_id` is that of `occurred_at`."""
    with recorded.meter.run() as run, run.node("n"):
        pass
    event = recorded.only()
    assert birth_of(event.event_id) == event.occurred_at.replace(
        microsecond=event.occurred_at.microsecond // 1000 * 1000
    )


def test_further_models_and_plugins_become_events_without_an_execution(recorded: RecordedMeter) -> None:
    """Only the first event of an attempt has executions, duration, HTTP, code and breaches, so every sum is right."""
    with recorded.meter.run() as run, run.node("n") as node:
        node.ai(provider="openai", model="a", input_tokens=1)
        node.ai(provider="openai", model="b", input_tokens=2)
        node.plugin("pdf")
        node.plugin("ocr")
        node.plugin("tts")
        node.http()
        node.breach("memory", reason="over 1 GiB")
    first, *further = recorded.events
    assert (first.executions, first.memory_breaches, first.breach_reason) == (1, 1, "over 1 GiB")
    assert [event.executions for event in further] == [0, 0]
    assert {event.kind for event in recorded.events} == {Kind.NODE}
    assert [event.http is None for event in recorded.events] == [False, True, True]
    assert sum(event.duration_us for event in further) == 0
    assert sum(event.memory_breaches for event in further) == 0
    assert [event.ai.model for event in recorded.events if event.ai] == ["a", "b"]
    assert [event.plugin.plugin_id for event in recorded.events if event.plugin] == ["pdf", "ocr", "tts"]


def test_calls_of_one_model_are_one_event_and_stated_costs_are_never_lost(recorded: RecordedMeter) -> None:
    """Calls with a stated cost are summed apart from those without one."""
    with recorded.meter.run() as run, run.node("n") as node:
        node.ai(provider="openrouter", model="m", input_tokens=1, reported_cost="0.25", response_id="a")
        node.ai(provider="openrouter", model="m", input_tokens=2, reported_cost=0.1, response_id="b")
        node.ai(provider="openrouter", model="m", input_tokens=4)
    stated, silent = (event.ai for event in recorded.events)
    assert stated is not None
    assert silent is not None
    assert (stated.input_tokens, stated.reported_cost, stated.response_id) == (3, Decimal("0.35"), "b")
    assert (silent.input_tokens, silent.reported_cost) == (4, None)


def test_unknown_use_is_marked_not_zero(recorded: RecordedMeter) -> None:
    """A call without counters is missing; a call with a counter that cannot be read is partial."""
    with recorded.meter.run() as run, run.node("n") as node:
        node.ai(provider="openai", model="m")
        node.ai(provider="openai", model="m", input_tokens=3, output_tokens="many")  # type: ignore[arg-type]  # the point
    assert [event.ai.quality for event in recorded.events if event.ai] == [Quality.MISSING, Quality.PARTIAL]
    assert recorded.meter.counters().hook_errors == 1


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ValueError("x"), Outcome.ERROR),
        (TimeoutError(), Outcome.TIMEOUT),
        (subprocess.TimeoutExpired(["x"], 1.0), Outcome.TIMEOUT),
        (asyncio.CancelledError(), Outcome.CANCELLED),
        (concurrent.futures.CancelledError(), Outcome.CANCELLED),
        (GeneratorExit(), Outcome.CANCELLED),
        (KeyboardInterrupt(), Outcome.CANCELLED),
        (SystemExit(0), Outcome.CANCELLED),
        (ExceptionGroup("x", [TimeoutError(), TimeoutError()]), Outcome.TIMEOUT),
        (ExceptionGroup("x", [TimeoutError(), ValueError()]), Outcome.ERROR),
    ],
)
def test_an_exception_sets_the_outcome_and_passes_unchanged(
    recorded: RecordedMeter, error: BaseException, outcome: Outcome
) -> None:
    """The host sees the very object that was raised; the event says how the attempt ended."""
    with pytest.raises(type(error)) as caught, recorded.meter.run() as run, run.node("n"):
        raise error
    assert caught.value is error
    assert recorded.only().outcome is outcome


def test_an_error_message_is_redacted(recorded: RecordedMeter) -> None:
    """The text of an exception goes along without its secrets."""
    with pytest.raises(RuntimeError), recorded.meter.run() as run, run.node("n"):
        raise RuntimeError("401 for sk-proj-abcdefghijklmnop at ann@example.com")
    assert recorded.only().error_message == "RuntimeError: 401 for [redacted] at [redacted]"


def _breach_and_raise() -> None:
    current_node().breach("timeout")
    raise ValueError("x")


def test_what_was_said_goes_over_what_would_be_concluded(recorded: RecordedMeter) -> None:
    """`outcome` wins over the exception, an exception over a breach, a breach over success."""
    with recorded.meter.run() as run:
        with run.node("breach") as node:
            node.breach("timeout")
        with run.node("said") as node:
            node.breach("memory")
            node.outcome("success")
        with pytest.raises(ValueError, match="x"), run.node("raised"):
            _breach_and_raise()
    assert [event.outcome for event in recorded.events] == [Outcome.TIMEOUT, Outcome.SUCCESS, Outcome.ERROR]


def test_a_parent_never_repeats_what_its_children_used(recorded: RecordedMeter) -> None:
    """Use lands on the innermost node alone, and goes back to the outer one when that has ended."""
    with recorded.meter.run() as run, run.node("outer"):
        with run.node("inner"):
            current_node().ai(provider="p", model="m", input_tokens=1)
        current_node().ai(provider="p", model="m", input_tokens=2)
    assert {event.node_id: event.ai.input_tokens for event in recorded.events if event.ai} == {"inner": 1, "outer": 2}


def test_a_run_inside_a_run_is_its_child_and_works_for_the_same_customer(recorded: RecordedMeter) -> None:
    """Parent and subject are taken from the enclosing run; the workflow is its own."""
    with recorded.meter.run(account_id="acme", workflow_id="a", tags={"k": "v"}) as outer, outer.node("call"):
        with recorded.meter.run(workflow_id="b") as inner, inner.node("n"):
            assert current_run() is inner
        assert current_run() is outer
    child, _ = recorded.events
    assert (child.parent_run_id, child.account_id, child.workflow_id) == (outer.run_id, "acme", "b")
    assert child.tags == {"k": "v"}


def test_run_ids_are_made_in_order_of_time(recorded: RecordedMeter) -> None:
    """A run without an id gets a UUIDv7; what was given is kept."""
    assert recorded.meter.run(run_id="mine").run_id == "mine"
    made = recorded.meter.run().run_id
    assert made[14] == "7"
    assert recorded.meter.run(run_id="").run_id != ""


def test_use_outside_a_node_is_kept_as_usage(recorded: RecordedMeter) -> None:
    """Inside a run but outside its nodes, after a node's end, and by `usage`: kind usage, no execution."""
    with recorded.meter.run(account_id="acme", run_id="r") as run:
        current_node().ai(provider="p", model="loose", input_tokens=1)
        with run.node("n") as node:
            pass
        node.ai(provider="p", model="late", input_tokens=1)
        recorded.meter.usage(ai={"provider": "p", "model": "said", "input_tokens": 1}, http={"requests": 2})
    recorded.meter.usage(account_id="other", run_id="x", node_id="n", plugin=[{"plugin_id": "a"}, {"plugin_id": "b"}])
    used = [event for event in recorded.events if event.kind is Kind.USAGE]
    assert [event.executions for event in used] == [0, 0, 0, 0, 0]
    assert [(event.run_id, event.node_id) for event in used] == [
        ("r", ""),
        ("r", "n"),
        ("r", ""),
        ("x", "n"),
        ("x", "n"),
    ]
    assert [event.account_id for event in used] == ["acme", "acme", "acme", "other", "other"]
    assert used[2].http is not None
    assert sum(event.executions for event in recorded.events) == 1


def test_outside_every_run_use_is_counted_as_unattributed(recorded: RecordedMeter) -> None:
    """There is no None to trip over: the null node takes every call, as a block too."""
    before = recorded.meter.counters().unattributed
    with current_run().node("n") as node:
        node.ai(provider="p", model="m", input_tokens=1)
        node.http()
        node.describe(description="x")
        node.outcome("error")
    current_node().plugin("pdf")
    assert recorded.meter.counters().unattributed == before + 3
    assert recorded.events == []


def test_a_node_entered_twice_still_emits_once(recorded: RecordedMeter) -> None:
    """A second end is a hook error, never a second execution."""
    with recorded.meter.run() as run:
        node = run.node("n")
        with node:
            pass
        with node:
            pass
    assert recorded.only().executions == 1
    assert recorded.meter.counters().hook_errors == 2


def test_one_run_may_be_entered_many_times(recorded: RecordedMeter) -> None:
    """A run object shared by several blocks stays the current run of each."""
    run = recorded.meter.run(run_id="r")
    with run:
        with run, run.node("a"):
            assert current_run() is run
        assert current_run() is run
    with run:
        assert current_run() is run
    assert current_run().run_id == ""


def test_a_meter_that_is_switched_off_emits_nothing() -> None:
    """Every hook works, runs have ids, nothing is kept."""
    from taximeter import MeterSettings

    with memory_meter(MeterSettings(enabled=False)) as silent:
        with silent.meter.run() as run, run.node("n") as node:
            assert run.run_id
            assert current_node() is node
            node.ai(provider="p", model="m", input_tokens=1)
        assert silent.events == []
        assert silent.meter.counters().accepted == 0


def test_a_node_of_many_plugins_stays_small_and_exact(recorded: RecordedMeter) -> None:
    """A name of its own for each call, as by mistake: what they used is emitted before the node's end."""
    with recorded.meter.run() as run, run.node("n") as node:
        for number in range(5_000):
            node.plugin(f"call-{number}", units={f"unit-{number}": 1})
        assert len(node._notes) < 2_048  # type: ignore[union-attr]  # a real node
    events = recorded.events
    assert sum(event.plugin.invocations for event in events if event.plugin) == 5_000
    assert sum(event.executions for event in events) == 1
    assert {event.node_id for event in events} == {"n"}


def test_sums_do_not_depend_on_the_hosts_decimal_context(recorded: RecordedMeter) -> None:
    """The host may count with six digits; what is billed has all of them, also in a node that is long."""
    cost = Decimal("1000.000000000001")
    with localcontext() as context:
        context.prec = 6
        with recorded.meter.run() as run, run.node("n") as node:
            for _ in range(1_000):
                node.ai(model="m", input_tokens=1, reported_cost=cost)
                node.plugin("p", units={"u": Decimal("1000.000000001")})
    (event,) = recorded.events
    assert event.ai
    assert event.plugin
    assert event.ai.reported_cost == cost * 1_000
    assert event.plugin.custom_units == {"u": Decimal("1000000.000001000")}
