"""The example executor: order, parallelism, retries, cancellation, callbacks that fail."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from threading import Barrier, Event, Lock, active_count

import pytest
from examples.dag_executor.callbacks import Callbacks, Outcome
from examples.dag_executor.executor import Backoff, Executor, NodeCall, Settings
from examples.dag_executor.results import AiCall, NodeCancelled, NodeError, NodeResult
from examples.dag_executor.workflow import InvalidWorkflow, NodeSpec, RunRequest, Workflow
from typing_extensions import override

Body = Callable[[NodeCall], NodeResult]
NO_PAUSE = Settings(pause=lambda seconds, cancel: cancel.is_set())


def request(*nodes: NodeSpec) -> RunRequest:
    return RunRequest("run-1", Workflow("w", nodes), account_id="acme")


class Journal(Callbacks):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.used: list[NodeResult] = []
        self._lock = Lock()

    def write(self, line: str) -> None:
        with self._lock:
            self.lines.append(line)

    @override
    def on_run_started(self, run: RunRequest) -> None:
        self.write("run started")

    @override
    def on_node_started(self, run: RunRequest, node: NodeSpec, attempt: int) -> None:
        self.write(f"{node.id} {attempt} started")

    @override
    def on_node_completed(self, run: RunRequest, node: NodeSpec, attempt: int, result: NodeResult) -> None:
        self.write(f"{node.id} {attempt} completed")

    @override
    def on_node_error(self, run: RunRequest, node: NodeSpec, attempt: int, error: NodeError) -> None:
        self.write(f"{node.id} {attempt} {error}")
        self.used.append(error.result)

    @override
    def on_node_cancelled(self, run: RunRequest, node: NodeSpec, attempt: int, result: NodeResult) -> None:
        self.write(f"{node.id} {attempt} cancelled")

    @override
    def on_run_finished(self, run: RunRequest, outcome: Outcome) -> None:
        self.write(f"run {outcome}")


def test_order_and_upstream() -> None:
    """A node starts after what it needs, and sees its outputs only."""
    seen: dict[str, dict[str, object]] = {}

    def body(call: NodeCall) -> NodeResult:
        seen[call.node.id] = dict(call.upstream)
        return NodeResult(output=call.node.id.upper())

    nodes = (NodeSpec("c", "t", ("a", "b")), NodeSpec("a", "t"), NodeSpec("b", "t", ("a",)), NodeSpec("d", "t", ("c",)))
    with Executor({"t": body}) as executor:
        result = executor.run(request(*nodes))
    assert result.outcome == "success"
    assert seen == {"a": {}, "b": {"a": "A"}, "c": {"a": "A", "b": "B"}, "d": {"c": "C"}}


def test_independent_nodes_run_at_once() -> None:
    """Three nodes that wait for each other all end: they were under way together."""
    together = Barrier(3)

    def body(call: NodeCall) -> NodeResult:
        together.wait(timeout=30)
        return NodeResult()

    with Executor({"t": body}) as executor:
        result = executor.run(request(NodeSpec("a", "t"), NodeSpec("b", "t"), NodeSpec("c", "t")))
    assert result.outcome == "success"


def test_retry_carries_the_use_of_failed_attempts() -> None:
    """A retryable failure is tried again after a pause, and each failed attempt reports what it used."""
    pauses: list[float] = []

    def pause(seconds: float, cancel: Event) -> bool:
        pauses.append(seconds)
        return cancel.is_set()

    def body(call: NodeCall) -> NodeResult:
        if call.attempt < 3:
            used = NodeResult(ai=(AiCall("openai", "gpt-4o", {"prompt_tokens": call.attempt}),))
            raise NodeError("busy", result=used, retryable=True)
        return NodeResult()

    journal = Journal()
    with Executor({"t": body}, [journal], Settings(random=Random(5), pause=pause)) as executor:
        result = executor.run(request(NodeSpec("a", "t", max_attempts=3)))
    assert result.outcome == "success"
    assert journal.lines == [
        "run started", "a 1 started", "a 1 busy", "a 2 started", "a 2 busy", "a 3 started", "a 3 completed",
        "run success",
    ]  # fmt: skip
    assert [use.ai[0].usage for use in journal.used] == [{"prompt_tokens": 1}, {"prompt_tokens": 2}]
    random = Random(5)
    assert pauses == [Backoff().seconds(1, random), Backoff().seconds(2, random)]


def test_a_final_failure_ends_its_branch_only() -> None:
    """What needs the failed node is never started; other branches run to their end; a fault is not retried."""

    def body(call: NodeCall) -> NodeResult:
        if call.node.id == "bad":
            raise NodeError("refused")
        return NodeResult()

    journal = Journal()
    nodes = (NodeSpec("bad", "t", max_attempts=5), NodeSpec("after", "t", ("bad",)), NodeSpec("x", "t"))
    with Executor({"t": body}, [journal], NO_PAUSE) as executor:
        result = executor.run(request(*nodes, NodeSpec("y", "t", ("x",))))
    assert (result.outcome, set(result.outputs), set(result.errors)) == ("error", {"x", "y"}, {"bad"})
    assert [line for line in journal.lines if line.startswith("bad")] == ["bad 1 started", "bad 1 refused"]


@pytest.mark.parametrize("cancelled_in", ["node", "pause"])
def test_cancel(cancelled_in: str) -> None:
    """Cancelling stops the attempt under way, or the pause before the next one, and starts nothing more."""
    cancel = Event()

    def body(call: NodeCall) -> NodeResult:
        if cancelled_in == "pause":
            raise NodeError("busy", retryable=True)
        cancel.set()
        call.cancel.wait(timeout=30)
        raise NodeCancelled("stopped")

    def pause(seconds: float, cancel: Event) -> bool:
        cancel.set()
        return True

    journal = Journal()
    nodes = (NodeSpec("a", "t", max_attempts=3), NodeSpec("b", "t", ("a",)))
    with Executor({"t": body}, [journal], Settings(pause=pause)) as executor:
        result = executor.run(request(*nodes), cancel)
    assert result.outcome == "cancelled"
    last = "a 1 cancelled" if cancelled_in == "node" else "a 1 busy"
    assert journal.lines == ["run started", "a 1 started", last, "run cancelled"]


def test_a_cancel_that_comes_too_late_changes_nothing() -> None:
    """A run whose last node has ended is a success, even if it was cancelled meanwhile."""
    cancel = Event()

    def body(call: NodeCall) -> NodeResult:
        cancel.set()
        return NodeResult()

    with Executor({"t": body}) as executor:
        assert executor.run(request(NodeSpec("a", "t")), cancel).outcome == "success"


def test_failing_callbacks_break_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A callback that raises is logged; the run and the other callbacks go on."""

    class Broken(Journal):
        @override
        def write(self, line: str) -> None:
            raise RuntimeError(line)

    journal = Journal()
    with Executor({"t": lambda call: NodeResult()}, [Broken(), journal]) as executor:
        assert executor.run(request(NodeSpec("a", "t"))).outcome == "success"
    assert journal.lines == ["run started", "a 1 started", "a 1 completed", "run success"]
    assert len(caplog.records) == 4


def test_a_broken_node_is_an_error_of_the_node(caplog: pytest.LogCaptureFixture) -> None:
    """An exception that no node type announced is logged and ends the node, not the executor; no thread stays."""
    before = active_count()
    with Executor({"t": lambda call: NodeResult(output=1 // 0)}) as executor:
        result = executor.run(request(NodeSpec("a", "t", max_attempts=3)))
    assert str(result.errors["a"]).startswith("ZeroDivisionError")
    assert len(caplog.records) == 1
    assert active_count() == before


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ((NodeSpec("a", "t", ("b",)), NodeSpec("b", "t", ("a",))), "wait for each other"),
        ((NodeSpec("a", "t", ("ghost",)),), "ghost, which does not exist"),
        ((NodeSpec("a", "t"), NodeSpec("a", "t")), "used twice: a"),
        ((NodeSpec("a", "t", max_attempts=0),), "at least one attempt"),
    ],
)
def test_invalid_workflows_are_refused(nodes: tuple[NodeSpec, ...], said: str) -> None:
    """A cycle, an unknown dependency, a repeated id and a useless limit are refused with the node's name."""
    with pytest.raises(InvalidWorkflow, match=said):
        Workflow("w", nodes)
