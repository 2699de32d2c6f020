# ruff: noqa: ARG002  # these methods do nothing with their arguments; those of subclasses do
"""What the executor tells whoever wants to know: a protocol whose methods do nothing until a subclass says more."""

from __future__ import annotations

from typing import Literal, Protocol

from examples.dag_executor.results import NodeError, NodeResult
from examples.dag_executor.workflow import NodeSpec, RunRequest

Outcome = Literal["success", "error", "cancelled"]


class Callbacks(Protocol):
    """Each is called on the thread where it happens; attempts count from 1; what one raises is logged and ignored."""

    def on_run_started(self, run: RunRequest) -> None:
        """Before the first node."""
        return

    def on_node_started(self, run: RunRequest, node: NodeSpec, attempt: int) -> None:
        """Before each attempt. One of the three that follow comes after it, on the same thread."""
        return

    def on_node_completed(self, run: RunRequest, node: NodeSpec, attempt: int, result: NodeResult) -> None:
        """The attempt succeeded."""
        return

    def on_node_error(self, run: RunRequest, node: NodeSpec, attempt: int, error: NodeError) -> None:
        """The attempt failed; `error.result` is what it used. Another attempt may follow."""
        return

    def on_node_cancelled(self, run: RunRequest, node: NodeSpec, attempt: int, result: NodeResult) -> None:
        """The attempt was stopped with its run; `result` is what it used."""
        return

    def on_run_finished(self, run: RunRequest, outcome: Outcome) -> None:
        """After the last node."""
        return
