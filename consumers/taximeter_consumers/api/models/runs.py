"""A run as a tree: the run, its sub-runs, its nodes and their attempts."""

from __future__ import annotations

from pydantic import Field

from taximeter_consumers.api.inputs import Name
from taximeter_consumers.api.models.measures import Cost, FullUsage, Outcomes, Spent
from taximeter_consumers.api.models.wire import Asked, Instant, Usd, Wire

QUALITIES = ("missing", "unknown", "partial", "estimated", "measured", "reported")
"""How far counters can be trusted, the weakest first."""


class RunQuery(Asked):
    """Which of the runs of this id, and how much of it."""

    account_id: Name | None = Field(None, description="Whose run; needed by operators where two accounts use one id")
    attempts: bool = Field(True, description="Whether nodes have their attempts")


class ModelUsed(Wire):
    """A model that an attempt called."""

    provider: str
    model: str


class Attempt(Wire):
    """One attempt of a node, over all its events."""

    attempt: int
    outcome: str = Field(description="success, error, timeout, cancelled or unknown")
    started_at: Instant
    ended_at: Instant
    agent_name: str
    error_message: str = Field(description="As the executor's redaction left it")
    breach_reason: str
    models: list[ModelUsed]
    quality: str = Field(description="The weakest of its calls: missing to reported; empty without a call")
    events: int
    usage: FullUsage
    cost: Cost


class Node(Wire):
    """One node of a run, over all its attempts."""

    node_id: str
    node_type: str
    outcome: str = Field(description="Of its last attempt; empty where attempts were left out")
    quality: str
    started_at: Instant
    ended_at: Instant
    attempt_count: int = Field(description="The highest attempt seen")
    events: int
    outcomes: Outcomes
    usage: FullUsage
    cost: Cost
    spent: Spent
    attempts: list[Attempt]


class Together(Wire):
    """A run with all the sub-runs below it."""

    runs: int
    cost_usd: Usd
    wasted_cost_usd: Usd
    total_tokens: int
    ai_calls: int
    unpriced_calls: int
    unmeasured_calls: int
    unpriced_plugins: int


class Run(Wire):
    """One run. Its own numbers leave out its sub-runs; `together` has both."""

    account_id: str
    run_id: str
    parent_run_id: str
    workflow_id: str
    user_id: str
    project_id: str
    context: str
    outcome: str = Field(description="The worst of its nodes' last attempts; empty where attempts were left out")
    quality: str
    started_at: Instant
    ended_at: Instant
    events: int
    outcomes: Outcomes
    usage: FullUsage
    cost: Cost
    spent: Spent
    together: Together
    nodes: list[Node]
    runs: list[Run] = Field(description="Sub-runs, by when they began")


class RunTree(Wire):
    """The answer."""

    run: Run
    is_complete: bool = Field(description="False where sub-runs, nodes or attempts beyond the limits were left out")
