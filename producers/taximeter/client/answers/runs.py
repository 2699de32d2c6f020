"""One run as a tree."""

from __future__ import annotations

from datetime import datetime

from taximeter.client.answers.measures import Cost, FullyUsed, Outcomes, Spent, Used
from taximeter.client.answers.wire import Answered, Usd


class ModelUsed(Answered):
    """A model that an attempt called."""

    provider: str
    model: str


class Attempt(Answered):
    """One attempt of a node, over all its events."""

    attempt: int
    outcome: str
    started_at: datetime
    ended_at: datetime
    agent_name: str
    error_message: str
    breach_reason: str
    models: tuple[ModelUsed, ...]
    quality: str
    events: int
    usage: FullyUsed
    cost: Cost


class Node(Answered):
    """One node of a run, over all its attempts."""

    node_id: str
    node_type: str
    outcome: str
    quality: str
    started_at: datetime
    ended_at: datetime
    attempt_count: int
    events: int
    outcomes: Outcomes
    usage: FullyUsed
    cost: Cost
    spent: Spent
    attempts: tuple[Attempt, ...]


class Together(Answered):
    """A run with all the sub-runs below it."""

    runs: int
    cost_usd: Usd
    wasted_cost_usd: Usd
    total_tokens: int
    ai_calls: int
    unpriced_calls: int
    unmeasured_calls: int
    unpriced_plugins: int


class Run(Answered):
    """One run. Its own numbers leave out its sub-runs, `runs`; `together` has both."""

    account_id: str
    run_id: str
    parent_run_id: str
    workflow_id: str
    user_id: str
    project_id: str
    context: str
    outcome: str
    quality: str
    started_at: datetime
    ended_at: datetime
    events: int
    outcomes: Outcomes
    usage: FullyUsed
    cost: Cost
    spent: Spent
    together: Together
    nodes: tuple[Node, ...]
    runs: tuple[Run, ...]


class ListedRun(Answered):
    """One run of a list; its numbers leave out its sub-runs, which are listed as runs of their own."""

    account_id: str
    run_id: str
    parent_run_id: str
    workflow_id: str
    user_id: str
    project_id: str
    context: str
    started_at: datetime
    ended_at: datetime
    events: int
    outcomes: Outcomes
    usage: Used
    cost: Cost
    spent: Spent


class RunsPage(Answered):
    """In the order that was asked for."""

    runs: tuple[ListedRun, ...]
    next_cursor: str | None


class RunTree(Answered):
    """The answer; `is_complete` is False where more than the API shows was left out."""

    run: Run
    is_complete: bool
