"""The promise: whatever the host hands to a hook, nothing comes back but a count."""

from __future__ import annotations

import inspect
import logging
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taximeter import NodeHooks, current_node, current_run
from taximeter.node import Node
from taximeter.nothing import NullNode, NullRun
from taximeter.run import Run
from taximeter.testing import RecordedMeter, memory_meter


class Hostile:
    """Raises wherever it is touched."""

    def __str__(self) -> str:
        raise RuntimeError("str")

    __repr__ = __str__

    def __index__(self) -> int:
        raise RuntimeError("index")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("eq")

    def __hash__(self) -> int:
        raise RuntimeError("hash")

    def __bool__(self) -> bool:
        raise RuntimeError("bool")


_ODDITIES: list[Any] = [
    "\ud800", "x" * 70_000, "1e999", "NaN", object(), Hostile(), [], [1], {}, {1: Hostile()}, ValueError,
]  # fmt: skip

odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.decimals(),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.integers(0, len(_ODDITIES) - 1).map(lambda place: _ODDITIES[place]),
    st.dictionaries(st.text(max_size=3), st.one_of(st.integers(), st.text(max_size=3), st.floats()), max_size=3),
)
_words = st.dictionaries(
    st.sampled_from(
        ["account_id", "run_id", "tags", "context", "parent_run_id", "provider", "model", "usage_type", "input_tokens",
         "total_tokens", "reported_cost", "quality", "response_id", "requests", "bytes_in", "invocations", "units",
         "plugin_id", "cpu_us", "max_rss_bytes", "error_message", "provider_metadata", "outcome", "ai", "http",
         "plugin", "code", "node_type", "bogus"]
    ),
    odd,
    max_size=6,
)  # fmt: skip
_SLOW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@_SLOW
@given(_words, _words, odd, odd, odd)
def test_odd_values_never_come_back(run_words: Any, words: Any, one: Any, two: Any, three: Any) -> None:
    """The node is emitted all the same, exactly once, and no event is dropped."""
    with memory_meter() as recorded:
        with recorded.meter.run(**run_words) as run:  # noqa: SIM117 - odd words for each, one at a time
            with run.node(one, node_type=two, attempt=three, agent_name=one) as node:
                hooks: tuple[Any, ...] = (
                    node.ai,
                    node.http,
                    node.plugin,
                    node.code,
                    node.breach,
                    node.outcome,
                    node.describe,
                )
                for hook in hooks:
                    hook(**words)
                    hook(one, two, three)
                node.record(words)
        recorded.meter.usage(**words)
        recorded.meter.usage(one)  # type: ignore[call-arg]  # the point
        events = recorded.events
        assert sum(event.executions for event in events) == 1
        assert recorded.meter.counters().dropped == {}


@_SLOW
@given(_words, odd, odd, odd)
def test_odd_callbacks_never_come_back(words: Any, one: Any, two: Any, three: Any) -> None:
    """Callbacks with any arguments in any order leave the host alone."""
    with memory_meter() as recorded:
        hooks: Any = NodeHooks(recorded.meter, max_nodes=2)
        nothing: dict[str, Any] = {}
        for given_words in (nothing, words):
            hooks.on_node_completed(one, two, **given_words)
            hooks.on_run_started(one, **given_words)
            hooks.on_node_started(one, two, **given_words)
            hooks.node(one, two).http()
            hooks.on_node_error(one, two, three, **given_words)
            hooks.on_node_started(one, three)
            hooks.on_node_cancelled(one, three, attempt=two)
            hooks.on_run_finished(one, three)
            hooks.on_run_finished(one)
        assert recorded.meter.counters().dropped == {}


def _methods(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}


def test_code_outside_every_run_may_call_what_it_likes() -> None:
    """The run and the node of no run have every method of the real ones, and take any arguments."""
    assert _methods(Node) <= _methods(NullNode)
    assert _methods(Run) <= _methods(NullRun)
    for nothing in (current_node(), current_run()):
        for name in _methods(type(nothing)):
            getattr(nothing, name)(Hostile(), 2, bogus=Hostile())


def test_a_wrong_call_still_gives_a_run_and_a_node(recorded: RecordedMeter) -> None:
    """It is counted, and what the node does is metered, under what could be understood."""
    meter: Any = recorded.meter
    with meter.run("acme") as run, run.node(bogus=1) as node:
        node.http()
    event = recorded.only()
    assert (event.node_id, event.executions, event.run_id) == ("", 1, run.run_id)
    assert meter.counters().hook_errors == 2


def test_an_error_that_cannot_say_its_text_still_ends_its_node(recorded: RecordedMeter) -> None:
    """A broken `__str__` of the host's costs the message, not the event."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    with pytest.raises(Mute), recorded.meter.run() as run, run.node("n"):
        raise Mute
    assert recorded.only().error_message == "Mute"


def test_one_wrong_field_does_not_cost_the_record(recorded: RecordedMeter) -> None:
    """What can be read is kept; the rest is counted."""
    with recorded.meter.run(account_id="acme", context="nobody") as run, run.node("n") as node:
        node.ai(provider="p", model="m", input_tokens=3, cache_read_tokens=-1, reported_cost=Decimal("NaN"))
    event = recorded.only()
    assert event.account_id == "acme"
    assert event.ai is not None
    assert (event.ai.input_tokens, event.ai.reported_cost) == (3, None)
    assert recorded.meter.counters().hook_errors == 3


def test_a_mistake_is_said_once_and_without_its_value(
    recorded: RecordedMeter, caplog: pytest.LogCaptureFixture
) -> None:
    """A hot loop with a mistake writes one line a minute, and no line quotes what was given."""
    with caplog.at_level(logging.WARNING, logger="taximeter"), recorded.meter.run() as run, run.node("n") as node:
        for _ in range(50):
            node.breach("hunter2")
    assert recorded.meter.counters().hook_errors == 50
    assert len(caplog.records) == 1
    assert "hunter2" not in caplog.text


def test_a_failing_log_handler_does_not_reach_the_host(recorded: RecordedMeter) -> None:
    """Even the host's own logging may be broken."""

    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("disk full")

    log, handler = logging.getLogger("taximeter"), Broken()
    log.addHandler(handler)
    try:
        with recorded.meter.run() as run, run.node("n") as node:
            node.breach("nothing")
    finally:
        log.removeHandler(handler)
    assert recorded.only().executions == 1


def test_the_promise_holds_at_the_recursion_limit(recorded: RecordedMeter) -> None:
    """A host that is about to overflow its stack gets its own error, if any; the node is still emitted once."""
    reached: list[int] = []

    def dive(depth: int) -> None:
        node.http()
        reached.append(depth)
        dive(depth + 1)

    with recorded.meter.run() as run, run.node("n") as node, pytest.raises(RecursionError):
        dive(0)
    assert sum(event.executions for event in recorded.events) == 1
    requests = sum(event.http.requests for event in recorded.events if event.http)
    assert requests >= len(reached) - recorded.meter.counters().hook_errors - 10
