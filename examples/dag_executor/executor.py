"""Runs a DAG: independent nodes in parallel, failed ones again after a pause, the rest of a broken branch not at all.

A node whose last attempt fails ends its own branch; other branches run to their end and the run's outcome is `error`.
Cancelling a run stops the attempts under way and starts no further ones. A callback that raises is logged and ignored.
`close` waits for the nodes under way; nothing of a run is kept anywhere, so a crash of the process loses it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from random import Random
from threading import Event
from types import TracebackType
from typing import Any, Self

from examples.dag_executor.callbacks import Callbacks, Outcome
from examples.dag_executor.results import NodeCancelled, NodeError, NodeResult
from examples.dag_executor.workflow import NodeSpec, RunRequest

log = logging.getLogger(__name__)

Pause = Callable[[float, Event], bool]


@dataclass(frozen=True)
class NodeCall:
    """Everything one attempt may look at. A node that can take long watches `cancel`."""

    run: RunRequest
    node: NodeSpec
    attempt: int
    upstream: Mapping[str, Any]
    cancel: Event


NodeType = Callable[[NodeCall], NodeResult]


@dataclass(frozen=True)
class Backoff:
    """The pause before the next attempt doubles from `first_seconds` up to `most_seconds`; half of it is random."""

    first_seconds: float = 0.02
    most_seconds: float = 0.5

    def seconds(self, failed_attempt: int, random: Random) -> float:
        whole = min(self.most_seconds, self.first_seconds * 2.0 ** (failed_attempt - 1))
        return whole * (0.5 + random.random() / 2)


@dataclass
class RunResult:
    """What became of a run: the outputs of the nodes that succeeded, and the last error of those that did not."""

    outcome: Outcome = "success"
    outputs: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, NodeError] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """How the executor behaves; `pause(seconds, cancel)` waits between attempts and returns True once cancelled."""

    workers: int = 8
    backoff: Backoff = Backoff()
    random: Random = field(default_factory=Random)
    pause: Pause = field(default=lambda seconds, cancel: cancel.wait(seconds))


class Executor:
    """Runs workflows on one pool of threads. Several threads may call `run` at once."""

    def __init__(
        self, node_types: Mapping[str, NodeType], callbacks: Sequence[Callbacks] = (), settings: Settings | None = None
    ) -> None:
        self._node_types = node_types
        self._callbacks = tuple(callbacks)
        self._settings = settings or Settings()
        self._pool = ThreadPoolExecutor(self._settings.workers, thread_name_prefix="node")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Wait for the nodes under way and end the threads."""
        self._pool.shutdown(wait=True)

    def run(self, request: RunRequest, cancel: Event | None = None) -> RunResult:
        """Run to the end, or until `cancel` is set; never raises for what a node does."""
        cancel = cancel or Event()
        result = RunResult()
        order = request.workflow.order()
        order.prepare()
        under_way: dict[Future[NodeResult], str] = {}
        self._tell("on_run_started", request)
        held_back = False
        while True:
            ready = order.get_ready()
            if ready and cancel.is_set():
                held_back, ready = True, ()
            for node_id in ready:
                node = request.workflow.node(node_id)
                upstream = {needed: result.outputs[needed] for needed in node.needs}
                under_way[self._pool.submit(self._node, request, node, upstream, cancel)] = node_id
            if not under_way:
                break
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                node_id = under_way.pop(future)
                try:
                    result.outputs[node_id] = future.result().output
                    order.done(node_id)
                except NodeError as error:
                    result.errors[node_id] = error
        if held_back or any(isinstance(error, NodeCancelled) for error in result.errors.values()):
            result.outcome = "cancelled"
        elif result.errors:
            result.outcome = "error"
        self._tell("on_run_finished", request, result.outcome)
        return result

    def _node(self, run: RunRequest, node: NodeSpec, upstream: Mapping[str, Any], cancel: Event) -> NodeResult:
        """All attempts of one node; returns its result or raises the last attempt's NodeError."""
        attempt = 0
        while True:
            attempt += 1
            if cancel.is_set():
                raise NodeCancelled(f"{node.id} was not started: the run is cancelled")
            try:
                return self._attempt(NodeCall(run, node, attempt, upstream, cancel))
            except NodeCancelled:
                raise
            except NodeError as error:
                if not error.retryable or attempt >= node.max_attempts:
                    raise
            self._settings.pause(self._settings.backoff.seconds(attempt, self._settings.random), cancel)

    def _attempt(self, call: NodeCall) -> NodeResult:
        at = (call.run, call.node, call.attempt)
        self._tell("on_node_started", *at)
        try:
            result = self._node_types[call.node.type](call)
        except NodeCancelled as error:
            self._tell("on_node_cancelled", *at, error.result)
            raise
        except NodeError as error:
            self._tell("on_node_error", *at, error)
            raise
        except Exception as error:
            log.exception("node %s of run %s broke", call.node.id, call.run.run_id)
            broken = NodeError(f"{type(error).__name__}: {error}")
            self._tell("on_node_error", *at, broken)
            raise broken from error
        self._tell("on_node_completed", *at, result)
        return result

    def _tell(self, what: str, *details: object) -> None:
        for callbacks in self._callbacks:
            try:
                getattr(callbacks, what)(*details)
            except Exception:
                log.exception("a callback failed in %s; the run goes on", what)
