"""What a workflow is: nodes and the arrows between them, as plain values, refused at once if they make no sense."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any


class InvalidWorkflow(ValueError):
    """The workflow can never run as written; the message names the node at fault."""


@dataclass(frozen=True)
class NodeSpec:
    """One node: what it does (`type` and `config`), what it waits for, and its limits.

    `max_attempts` counts the first attempt too. `memory_limit_bytes` binds code nodes only.
    """

    id: str
    type: str
    needs: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    max_attempts: int = 1
    timeout_seconds: float = 10.0
    memory_limit_bytes: int | None = None


@dataclass(frozen=True)
class Workflow:
    """A named DAG of nodes. Raises InvalidWorkflow for a repeated id, an unknown dependency, a cycle or a bad limit."""

    id: str
    nodes: tuple[NodeSpec, ...]

    def __post_init__(self) -> None:
        known = [node.id for node in self.nodes]
        repeated = sorted({node_id for node_id in known if known.count(node_id) > 1})
        if repeated:
            raise InvalidWorkflow(f"{self.id}: node id used twice: {', '.join(repeated)}")
        for node in self.nodes:
            unknown = sorted(set(node.needs) - set(known))
            if unknown:
                raise InvalidWorkflow(f"{self.id}: node {node.id} needs {', '.join(unknown)}, which does not exist")
            if node.max_attempts < 1 or node.timeout_seconds <= 0:
                raise InvalidWorkflow(f"{self.id}: node {node.id} needs at least one attempt and a positive timeout")
        try:
            self.order().prepare()
        except CycleError as error:
            raise InvalidWorkflow(f"{self.id}: nodes wait for each other: {' -> '.join(error.args[1])}") from error

    def order(self) -> TopologicalSorter[str]:
        """A fresh sorter over the node ids, not yet prepared."""
        return TopologicalSorter({node.id: node.needs for node in self.nodes})

    def node(self, node_id: str) -> NodeSpec:
        """The node of that id; KeyError if there is none."""
        for node in self.nodes:
            if node.id == node_id:
                return node
        raise KeyError(node_id)


@dataclass(frozen=True)
class RunRequest:
    """One run of a workflow: on whose behalf, with what input."""

    run_id: str
    workflow: Workflow
    account_id: str
    user_id: str = ""
    project_id: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
