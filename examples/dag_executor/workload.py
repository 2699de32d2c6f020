"""The demo's workload: a seeded list of runs, for several accounts and users, with every kind of trouble among them.

The plan depends on the seed alone. Runs go several at a time; when it is interrupted, the runs under way are
cancelled and the others are not started.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from threading import Event
from typing import Any

from typing_extensions import override

from examples.dag_executor import workflows
from examples.dag_executor.callbacks import Callbacks
from examples.dag_executor.executor import Executor, Settings
from examples.dag_executor.workflow import NodeSpec, RunRequest, Workflow
from examples.dag_executor.world import World

USERS = {"acme": ("ada", "alan", "annie"), "globex": ("grace", "guido"), "initech": ("ida",)}
PROJECTS = {"acme": ("helpdesk", "finance"), "globex": ("lab",), "initech": ("website", "archive")}
SUBJECTS = ("the invoice of last month", "a sensor that drifts", "the cost of one answer", "late parcels", "door codes")


@dataclass(frozen=True)
class Scenario:
    """A workflow and what goes wrong in it, if anything; `cancel_on` names the node whose start cancels the run."""

    name: str
    workflow: Workflow
    inputs: Mapping[str, Any] = field(default_factory=dict)
    cancel_on: str = ""


@dataclass(frozen=True)
class Plan:
    """One run to make."""

    request: RunRequest
    cancel_on: str = ""


# Twelve in a row hold every kind of trouble once, so any twelve runs or more do too.
SCENARIOS = (
    Scenario("triage", workflows.SUPPORT_TRIAGE),
    Scenario("research", workflows.research_agent()),
    Scenario("invoice", workflows.INVOICE_EXTRACTION),
    Scenario("triage, 429 and then an answer", workflows.SUPPORT_TRIAGE, {"refuse": "429;times=1"}),
    Scenario("render", workflows.media_render()),
    Scenario("nightly, streamed without usage", workflows.NIGHTLY_REPORT),
    Scenario("render that never ends", workflows.media_render(seconds=0.5), {"mode": "timeout"}),
    Scenario("invoice, 500 and then delivered", workflows.INVOICE_EXTRACTION, {"deliver": "500?times=1"}),
    Scenario("invoice that cannot be delivered", workflows.INVOICE_EXTRACTION, {"deliver": "503"}),
    Scenario("render that eats memory", workflows.media_render(), {"mode": "memory"}),
    Scenario("nightly, cancelled", workflows.NIGHTLY_REPORT, {"hold": True}, cancel_on="crunch"),
    Scenario(
        "research, a page that hangs once",
        workflows.research_agent(page_seconds=1.0),
        {"page": "slow?seconds=5&times=1"},
    ),
)


def plan(seed: int, runs: int, prefix: str = "demo") -> list[Plan]:
    """The runs of a seed, in order; run ids are `PREFIX-SEED-NUMBER`."""
    random = Random(seed)
    plans = []
    for number in range(runs):
        scenario = SCENARIOS[number % len(SCENARIOS)]
        account = random.choice(list(USERS))
        subject = random.choice(SUBJECTS)
        inputs = {
            "ticket": f"Customer {random.randrange(1000)} asks about {subject}. " * random.randrange(2, 9),
            "question": f"What is known about {subject}, in the year {random.randrange(1990, 2026)}?",
            "document": f"{subject}, page {random.randrange(100)}. " * random.randrange(80, 900),
            "addresses": [f"{subject.title()} Street {house or ''}" for house in range(random.randrange(2, 9))],
            "article_bytes": random.randrange(500, 9000),
            "rows": random.randrange(10_000, 60_000),
            "page": "json?bytes=7000",
            "deliver": "201",
            "mode": "ok",
            "hold": False,
            "refuse": "",
            **scenario.inputs,
        }
        request = RunRequest(
            run_id=f"{prefix}-{seed}-{number:04d}",
            workflow=scenario.workflow,
            account_id=account,
            user_id=random.choice(USERS[account]),
            project_id=random.choice(PROJECTS[account]),
            inputs=inputs,
            tags={"team": random.choice(("blue", "green")), "scenario": scenario.name},
        )
        plans.append(Plan(request, scenario.cancel_on))
    return plans


class CancelAsPlanned(Callbacks):
    """Callbacks that cancel a run at the start of its plan's `cancel_on` node."""

    def __init__(self, plans: Sequence[Plan]) -> None:
        self.cancels = {each.request.run_id: Event() for each in plans}
        self._on = {each.request.run_id: each.cancel_on for each in plans}

    @override
    def on_node_started(self, run: RunRequest, node: NodeSpec, attempt: int) -> None:
        if self._on[run.run_id] == node.id:
            self.cancels[run.run_id].set()


def work(plans: Sequence[Plan], world: World, callbacks: Sequence[Callbacks], seed: int = 0, at_once: int = 4) -> None:
    """Make all planned runs, `at_once` at a time; on KeyboardInterrupt cancel them all, wait, and raise it again."""
    planned = CancelAsPlanned(plans)
    settings = Settings(workers=8, random=Random(seed))
    with (
        Executor(world.node_types, (*callbacks, planned), settings) as executor,
        ThreadPoolExecutor(at_once, thread_name_prefix="run") as pool,
    ):
        futures = [pool.submit(executor.run, each.request, planned.cancels[each.request.run_id]) for each in plans]
        try:
            for future in futures:
                future.result()
        except BaseException:
            for future in futures:
                future.cancel()
            for cancel in planned.cancels.values():
                cancel.set()
            raise
