"""Activities in Temporal's own activity environment, through the interceptor as a worker calls it.

The test server is a download that not every machine may make, so workflows are not run here.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytest.importorskip("temporalio", reason="temporalio is not installed")

from temporalio import activity
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from taximeter import Meter, current_node
from taximeter.attribution import Subject
from taximeter.bridges.temporal import ChargeTokens, TaximeterInterceptor, charge_tokens_activity
from taximeter.testing import memory_meter


class Innermost(ActivityInboundInterceptor):
    """What a worker puts last: it calls the activity, a sync one in a thread with the context."""

    def __init__(self) -> None:
        pass

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - theirs
        if asyncio.iscoroutinefunction(input.fn):
            return await input.fn(*input.args)
        return await asyncio.to_thread(input.fn, *input.args)


def environment(**info: Any) -> ActivityEnvironment:
    env = ActivityEnvironment()
    facts: dict[str, Any] = {
        "workflow_id": "order-7",
        "workflow_run_id": "0198-run",
        "workflow_type": "Digest",
        "activity_type": "summarise",
        "attempt": 3,
    }
    env.info = dataclasses.replace(env.info, **(facts | info))
    return env


async def attempt(meter: Meter, fn: Callable[..., Any], *args: Any, subject: Any = None) -> Any:
    """One activity attempt, as a worker makes it."""
    inbound = TaximeterInterceptor(meter, subject).intercept_activity(Innermost())
    call = ExecuteActivityInput(fn=fn, args=args, executor=None, headers={})
    return await environment().run(inbound.execute_activity, call)


async def summarise(text: str) -> str:
    current_node().ai(provider="openai", model="gpt-4o", input_tokens=5)
    return text.upper()


def test_an_activity_attempt_is_a_node_of_its_workflows_run() -> None:
    """Run, workflow, node and attempt are Temporal's; use inside lands on the node."""
    with memory_meter() as recorded:
        assert asyncio.run(attempt(recorded.meter, summarise, "hi")) == "HI"
    event = recorded.only()
    assert (event.run_id, event.workflow_id) == ("order-7/0198-run", "Digest")
    assert (event.node_id, event.node_type, event.attempt, event.executions) == ("summarise", "activity", 3, 1)
    assert event.ai is not None
    assert event.ai.input_tokens == 5


def test_a_sync_activity_finds_its_node_in_its_thread() -> None:
    """The context goes along."""

    def work() -> str:
        return current_node().node_id

    with memory_meter() as recorded, ThreadPoolExecutor(1):
        assert asyncio.run(attempt(recorded.meter, work)) == "summarise"


def test_the_subject_says_who_is_billed() -> None:
    """From whatever the executor knows of an activity."""

    def subject(info: activity.Info) -> Subject:
        return {"account_id": f"account of {info.workflow_id}"}

    with memory_meter() as recorded:
        asyncio.run(attempt(recorded.meter, summarise, "hi", subject=subject))
    assert recorded.only().account_id == "account of order-7"


def test_a_subject_that_raises_disturbs_nothing() -> None:
    """The activity runs, is metered, and the fault is counted."""

    def subject(info: activity.Info) -> Subject:
        raise KeyError("no such customer")

    with memory_meter() as recorded:
        assert asyncio.run(attempt(recorded.meter, summarise, "hi", subject=subject)) == "HI"
        assert recorded.meter.counters().hook_errors == 1
    assert recorded.only().run_id == "order-7/0198-run"


async def fail() -> None:
    raise RuntimeError("boom")


async def cancelled() -> None:
    raise asyncio.CancelledError


async def elsewhere() -> None:
    activity.raise_complete_async()


@pytest.mark.parametrize(("fn", "outcome"), [(fail, "error"), (cancelled, "cancelled"), (elsewhere, "unknown")])
def test_an_end_by_exception_is_told_apart(fn: Callable[..., Any], outcome: str) -> None:
    """The exception passes on unchanged; completing elsewhere is no failure."""
    with memory_meter() as recorded, pytest.raises(BaseException):  # noqa: B017, PT011 - three kinds of it
        asyncio.run(attempt(recorded.meter, fn))
    assert recorded.only().outcome == outcome


def test_workflows_are_not_intercepted() -> None:
    """Workflow code stays deterministic: nothing of ours is in it."""
    with memory_meter() as recorded:
        interceptor = TaximeterInterceptor(recorded.meter)
        given: Any = None
        assert interceptor.workflow_interceptor_class(given) is None


def test_the_charge_activity_charges_the_workflows_run() -> None:
    """And answers whether it was taken; a wrong charge does not fail the activity."""
    with memory_meter() as recorded:
        charge = charge_tokens_activity(recorded.meter)
        good = ChargeTokens("u1", 812, 64, "gpt-4o", "openai")
        assert asyncio.run(environment().run(charge, good)) is True
        assert asyncio.run(environment().run(charge, dataclasses.replace(good, input_tokens=-1))) is False
    event = recorded.only()
    assert (event.run_id, event.user_id, event.executions) == ("order-7/0198-run", "u1", 0)
    assert event.ai is not None
    assert (event.ai.input_tokens, event.ai.output_tokens) == (812, 64)
