"""`charge`, and the usage handler: callables for whoever knows the counts already."""

from __future__ import annotations

import gc
from typing import Any, cast

import pytest

from taximeter.bridges.charge import TokenCharge, charge
from taximeter.bridges.usage_handler import usage_handler
from taximeter.settings import MeterSettings
from taximeter.testing import memory_meter

GOOD = TokenCharge("flow-1", "u1", 812, 64, "gpt-4o", "openai")


def test_a_charge_is_an_event_of_its_flow_and_user() -> None:
    """It has no execution: the work was metered elsewhere, or not at all."""
    with memory_meter() as recorded:
        assert charge(recorded.meter, GOOD) is True
    event = recorded.only()
    assert (event.run_id, event.user_id, event.executions, event.kind) == ("flow-1", "u1", 0, "usage")
    assert event.ai is not None
    assert (event.ai.provider, event.ai.model, event.ai.input_tokens, event.ai.output_tokens) == (
        "openai",
        "gpt-4o",
        812,
        64,
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"input_tokens": -1},
        {"output_tokens": 1.5},
        {"output_tokens": True},
        {"input_tokens": "7"},
        {"input_tokens": None},
        {"input_tokens": 2**63},
        {"model": ""},
        {"model": None},
        {"flow_id": 7},
    ],
    ids=str,
)
def test_wrong_words_charge_nothing(wrong: dict[str, Any]) -> None:
    """The answer is False, nothing is emitted, and the mistake is counted."""
    with memory_meter() as recorded:
        assert charge(recorded.meter, GOOD._replace(**wrong)) is False
        assert recorded.meter.counters().hook_errors == 1
    assert recorded.events == []


def test_a_closed_meter_takes_no_charge() -> None:
    """The workflow is told instead of being let believe."""
    with memory_meter() as recorded:
        pass
    assert charge(recorded.meter, GOOD) is False


def test_a_meter_that_is_switched_off_takes_no_charge() -> None:
    """False, and no error."""
    with memory_meter(MeterSettings(enabled=False)) as recorded:
        assert charge(recorded.meter, GOOD) is False


def test_what_is_no_charge_at_all_does_not_raise() -> None:
    """A wrong call answers False."""
    with memory_meter() as recorded:
        assert charge(recorded.meter, cast(TokenCharge, "nonsense")) is False


def test_the_handler_outside_a_run_says_whose_use_it_is() -> None:
    """User, thread and agent stand on the event; the counters are those that are stated."""
    with memory_meter() as recorded:
        handle = usage_handler(recorded.meter)
        handle(
            "u1",
            "t1",
            "planner",
            "claude-sonnet-4",
            "Anthropic",
            {"input_tokens": 5, "output_tokens": 2, "server_tool_use": {"web_search_requests": 3}},
            {"id": "msg_1", "service_tier": "batch"},
        )
    event = recorded.only()
    assert (event.user_id, event.thread_id, event.agent_name) == ("u1", "t1", "planner")
    assert event.ai is not None
    assert (event.ai.provider, event.ai.input_tokens, event.ai.output_tokens, event.ai.response_id) == (
        "anthropic",
        5,
        2,
        "msg_1",
    )
    assert (event.ai.service_tier, event.ai.units) == ("batch", {"web_searches": 3})


def test_the_handler_inside_a_node_adds_to_it_and_gives_way_to_a_tap() -> None:
    """The same response seen on the wire counts once."""
    with memory_meter() as recorded:
        handle = usage_handler(recorded.meter)
        with recorded.meter.run(account_id="acme") as run, run.node("n") as node:
            node.ai_tapped(provider="openai", model="gpt-4o", input_tokens=9, output_tokens=1, response_id="chatcmpl-1")
            usage = {"prompt_tokens": 9, "completion_tokens": 1}
            handle(
                user_id="u", thread_id="t", agent_name="a", model="gpt-4o", provider="openai", usage=usage,
                provider_metadata={"id": "chatcmpl-1"},
            )  # fmt: skip
    event = recorded.only()
    assert event.ai is not None
    assert (event.node_id, event.ai.input_tokens) == ("n", 9)


def test_a_use_that_is_not_stated_is_missing() -> None:
    """Unknown is never zero."""
    with memory_meter() as recorded:
        usage_handler(recorded.meter)("u", "t", "a", "gpt-4o", "openai", None, None)
    event = recorded.only()
    assert event.ai is not None
    assert event.ai.quality == "missing"


def test_the_handler_never_raises() -> None:
    """Whatever a framework passes, or does not."""
    with memory_meter() as recorded:
        handle = usage_handler(recorded.meter)
        handle()
        handle(1, 2, 3, 4, 5, 6, 7, 8, 9)
        handle(nonsense=object())
        gc.collect()
