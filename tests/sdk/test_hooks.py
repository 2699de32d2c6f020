"""The callback form: every started node emits exactly once, whatever order the callbacks come in."""

from __future__ import annotations

import asyncio
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from taximeter import AsyncNodeHooks, NodeHooks, current_node
from taximeter.testing import RecordedMeter, memory_meter
from taximeter_schemas.event import Outcome


def test_callbacks_meter_a_run(recorded: RecordedMeter) -> None:
    """Attribution comes from the run's start, use from the open node and from the completion."""
    hooks = NodeHooks(recorded.meter)
    hooks.on_run_started("r", account_id="acme", workflow_id="wf")
    hooks.on_node_started("r", "a", node_type="ai", agent_name="scribe")
    current_node().http(bytes_in=3)
    hooks.node("r", "a").ai(provider="p", model="m", input_tokens=1)
    hooks.on_node_completed("r", "a", ai={"provider": "p", "model": "m", "input_tokens": 2})
    hooks.on_node_started("r", "b", attempt=1)
    hooks.on_node_error("r", "b", TimeoutError("slow"), attempt=1)
    hooks.on_node_started("r", "b", attempt=2)
    hooks.on_node_error("r", "b", "token=abcdef was refused", attempt=2)
    hooks.on_node_started("r", "c")
    hooks.on_node_cancelled("r", "c")
    hooks.on_node_started("r", "d")
    hooks.on_run_finished("r")
    ends = [(event.node_id, event.attempt, event.outcome.value) for event in recorded.events]
    assert ends == [
        ("a", 1, "success"),
        ("b", 1, "timeout"),
        ("b", 2, "error"),
        ("c", 1, "cancelled"),
        ("d", 1, "cancelled"),
    ]
    first = recorded.events[0]
    assert first.ai is not None
    assert (first.ai.input_tokens, first.account_id, first.agent_name) == (3, "acme", "scribe")
    assert recorded.events[2].error_message == "token=[redacted] was refused"
    assert current_node().node_id == ""
    assert recorded.meter.counters().hook_errors == 0


def test_ids_that_were_never_announced_are_metered_by_ids_alone(recorded: RecordedMeter) -> None:
    """A completion without a start, in a run without a start, is an execution of unknown length."""
    hooks = NodeHooks(recorded.meter)
    hooks.on_node_completed("r", "n", http={"requests": 2})
    event = recorded.only()
    assert (event.run_id, event.node_id, event.account_id, event.executions) == ("r", "n", "", 1)
    assert recorded.meter.counters().hook_errors == 2


def test_a_second_completion_is_counted_and_ignored(recorded: RecordedMeter) -> None:
    """Neither while the run is open nor after it."""
    hooks = NodeHooks(recorded.meter)
    hooks.on_run_started("r")
    hooks.on_node_started("r", "n")
    hooks.on_node_completed("r", "n")
    hooks.on_node_completed("r", "n")
    hooks.on_run_finished("r")
    hooks.on_node_error("r", "n", "late")
    assert recorded.only().outcome is Outcome.SUCCESS
    assert recorded.meter.counters().hook_errors == 2


def test_a_loop_may_start_the_same_attempt_again(recorded: RecordedMeter) -> None:
    """A graph with a cycle runs one node many times; each start has its own event."""
    hooks = NodeHooks(recorded.meter)
    hooks.on_run_started("r")
    for _ in range(3):
        hooks.on_node_started("r", "n")
        hooks.on_node_completed("r", "n")
    assert len(recorded.events) == 3
    assert recorded.meter.counters().hook_errors == 0


def test_the_table_is_bounded(recorded: RecordedMeter) -> None:
    """An executor that never finishes its runs does not fill the memory; the oldest run's nodes go out as unknown."""
    hooks = NodeHooks(recorded.meter, max_nodes=10)
    for number in range(50):
        hooks.on_run_started(f"r{number}")
        hooks.on_node_started(f"r{number}", "n")
    outcomes = Counter(event.outcome for event in recorded.events)
    assert outcomes == {Outcome.UNKNOWN: 45}
    hooks.on_node_completed("r44", "n")
    assert len(recorded.events) == 45


def test_awaited_callbacks_are_the_same(recorded: RecordedMeter) -> None:
    """`AsyncNodeHooks` has the same names as coroutines; the node is current in the task that awaits."""

    async def main() -> None:
        hooks = AsyncNodeHooks(recorded.meter)
        await hooks.on_run_started("r", account_id="acme")
        await hooks.on_node_started("r", "a")
        current_node().http()
        await hooks.on_node_completed("r", "a")
        await hooks.on_node_started("r", "b")
        hooks.node("r", "b").http()
        await hooks.on_node_error("r", "b", ValueError("x"))
        await hooks.on_node_started("r", "c")
        await hooks.on_node_cancelled("r", "c")
        await hooks.on_run_finished("r")

    asyncio.run(main())
    assert [event.outcome.value for event in recorded.events] == ["success", "error", "cancelled"]
    assert sum(event.http.requests for event in recorded.events if event.http) == 2


_step = st.tuples(
    st.sampled_from(["run", "start", "complete", "error", "cancel", "finish"]),
    st.sampled_from(["r1", "r2"]),
    st.sampled_from(["a", "b"]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_step, max_size=30))
def test_any_order_of_callbacks_emits_each_start_once(steps: list[tuple[str, str, str]]) -> None:
    """Against a model of open nodes: a start, or an end that no start announced, is one execution."""
    expected = 0
    open_runs: dict[str, dict[str, bool]] = {}
    finished: set[str] = set()
    with memory_meter() as recorded:
        hooks = NodeHooks(recorded.meter)
        for verb, run, node in steps:
            match verb:
                case "run":
                    hooks.on_run_started(run)
                    open_runs.setdefault(run, {})
                    finished.discard(run)
                case "finish":
                    hooks.on_run_finished(run)
                    if open_runs.pop(run, None) is not None:
                        finished.add(run)
                case "start":
                    hooks.on_node_started(run, node)
                    finished.discard(run)
                    expected += not open_runs.setdefault(run, {}).get(node, False)
                    open_runs[run][node] = True
                case _:
                    if verb == "complete":
                        hooks.on_node_completed(run, node)
                    elif verb == "error":
                        hooks.on_node_error(run, node, "x")
                    else:
                        hooks.on_node_cancelled(run, node)
                    if run not in finished:
                        expected += node not in open_runs.setdefault(run, {})
                        open_runs[run][node] = False
        for run in list(open_runs):
            hooks.on_run_finished(run)
        assert sum(event.executions for event in recorded.events) == expected
        assert recorded.meter.counters().dropped == {}
