"""Nodes and runs behind a gate: asked before, settled after by their own records, their events in the transaction."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from decimal import Decimal

import pytest
from tests.quota.sdk.machine_line import METER, Stage, rule

from taximeter import NodeHooks, current_node
from taximeter.testing import RecordedMeter
from taximeter_schemas.errors import Denied, Misconfigured

LEVEL = "account/acme"
ESTIMATE = {METER: 1_000, "executions": 1}
pytestmark = pytest.mark.usefixtures("by_hand")


@pytest.fixture
def stage() -> Stage:
    """Ten thousand tokens, and a gate with a lease."""
    return Stage({LEVEL: rule(LEVEL, 10_000)})


def opened(stage: Stage, recorded: RecordedMeter) -> None:
    """Get the lease that the run's checks will draw from."""
    from taximeter.quota.subjects import subject_of

    with recorded.meter.run(account_id="acme", key_id="k1") as run:
        subject = subject_of(run)
    stage.gate.purse_of(subject).want({METER: 4_000, "executions": 4}, stage.gate.clock())
    stage.serve()


def test_a_node_is_settled_by_what_it_recorded_and_its_event_carries_the_transaction(
    stage: Stage, recorded: RecordedMeter
) -> None:
    """300 tokens of 1,000 were used: the rest is back in the lease."""
    opened(stage, recorded)
    with recorded.meter.run(account_id="acme", key_id="k1") as run:
        with stage.gate.metered_node("summarise", ESTIMATE, node_type="ai") as metered:
            current_node().ai(provider="p", model="m", input_tokens=200, output_tokens=100)
            current_node().http(requests=2, bytes_in=10)
        with run.node("free"):
            pass
    assert metered.ticket is not None
    by_node = recorded.by_node()
    (event,), (free,) = by_node["summarise"], by_node["free"]
    assert event.transaction_id == metered.ticket.transaction_id != ""
    assert event.tags == {"key_id": "k1"}
    assert free.transaction_id == ""
    stage.gate.close()
    assert sum(stage.confirmed().values()) == 300


def test_a_call_that_does_not_say_what_it_used_counts_as_estimated(stage: Stage, recorded: RecordedMeter) -> None:
    """Unknown is not zero."""
    opened(stage, recorded)
    with recorded.meter.run(account_id="acme", key_id="k1"), stage.gate.metered_node("n", ESTIMATE) as metered:
        assert metered.node is not None
        metered.node.ai(provider="p", model="m")
    stage.gate.close()
    assert sum(stage.confirmed().values()) == 1_000


def test_a_denied_node_does_not_start_and_emits_nothing(stage: Stage, recorded: RecordedMeter) -> None:
    """Its block raises Denied with the sentence of the limit."""
    opened(stage, recorded)
    with recorded.meter.run(account_id="acme", key_id="k1") as run:
        subject = stage.gate.metered_node("n", {METER: 50_000})._subject(run)
        stage.check(subject, 50_000)
        with pytest.raises(Denied, match="10,000 total_tokens"), stage.gate.metered_node("n", {METER: 50_000}):
            raise AssertionError("it must not start")
    assert recorded.events == []


def test_a_decorated_function_is_a_node_and_hears_how_to_degrade(recorded: RecordedMeter) -> None:
    """`amounts` may be made of the call's arguments; sync and async functions alike."""
    stage = Stage({LEVEL: rule(LEVEL, 10, degrade_to="small")})
    opened(stage, recorded)

    @stage.gate.metered_node("sync", lambda text: {METER: len(text)}, node_type="ai")
    def summarise(text: str, degrade_to: str = "") -> str:
        current_node().ai(provider="p", model="m", input_tokens=1)
        return f"{text} {degrade_to}"

    @stage.gate.metered_node("async", {METER: 10})
    async def later(text: str) -> str:
        await asyncio.sleep(0)
        return text

    with recorded.meter.run(account_id="acme", key_id="k1"):
        assert summarise("abc") == "abc small"
        assert asyncio.run(later("x")) == "x"
    assert set(recorded.by_node()) == {"sync", "async"}
    assert all(event.transaction_id for event in recorded.events)


def test_a_metered_run_holds_ahead_and_its_nodes_draw_from_it(stage: Stage, recorded: RecordedMeter) -> None:
    """All events of the run carry the hold's transaction; the hold is settled by what the nodes used."""
    with stage.gate.run(recorded.meter, account_id="acme", hold={METER: 5_000}) as run:
        with stage.gate.metered_node("a", {METER: 3_000}) as first:
            current_node().ai(provider="p", model="m", input_tokens=1_200)
        with pytest.raises(Denied, match="3800 of 5000"), stage.gate.metered_node("b", {METER: 4_000}):
            pass
        with run.node("unasked") as node:
            node.http()
    assert first.ticket is not None
    hold_id = first.ticket.transaction_id
    assert [event.transaction_id for event in recorded.events] == [hold_id, hold_id]
    assert stage.confirmed() == {hold_id: Decimal(1_200)}


def test_a_run_that_may_not_start_is_denied_before_it_spends(stage: Stage, recorded: RecordedMeter) -> None:
    """No event, nothing held."""
    with (
        pytest.raises(Denied, match="account/acme"),
        stage.gate.run(recorded.meter, account_id="acme", hold={METER: 10**6}),
    ):
        raise AssertionError("it must not start")
    assert recorded.events == []
    assert stage.line.machine.outstanding().holds == 0


def test_an_async_run_and_node(stage: Stage, recorded: RecordedMeter) -> None:
    """The same blocks with `async with`."""

    async def work() -> None:
        gate = stage.gate
        run, node = gate.run(recorded.meter, account_id="acme", hold={METER: 5_000}), gate.metered_node("a", {METER: 9})
        async with run, node:
            current_node().ai(provider="p", model="m", input_tokens=70)

    asyncio.run(work())
    assert list(stage.confirmed().values()) == [Decimal(70)]


def test_a_node_outside_every_run_says_what_to_do(stage: Stage) -> None:
    """Nobody can say whose use it is."""
    with pytest.raises(Misconfigured, match="outside every run"), stage.gate.metered_node("n", {METER: 1}):
        pass


def test_a_node_carries_the_transaction_that_it_is_given(recorded: RecordedMeter) -> None:
    """`run.node(transaction_id=...)` for those who reserve by themselves; others carry the run's."""
    with recorded.meter.run(account_id="acme", transaction_id="of-the-run") as run:
        with run.node("own", transaction_id="t1"):
            pass
        with run.node("other"):
            pass
    assert {event.node_id: event.transaction_id for event in recorded.events} == {"own": "t1", "other": "of-the-run"}


def test_a_node_by_callbacks_carries_the_transaction_that_it_is_given(recorded: RecordedMeter) -> None:
    """For executors that reserve by themselves and have events already."""
    hooks = NodeHooks(recorded.meter)
    hooks.on_run_started("r", account_id="acme", key_id="k1")
    hooks.on_node_started("r", "n", transaction_id="t1")
    hooks.on_node_completed("r", "n")
    event = recorded.only()
    assert (event.transaction_id, event.tags) == ("t1", {"key_id": "k1"})


def test_quotas_are_not_loaded_by_who_only_meters() -> None:
    """`import taximeter` brings neither them nor pydantic."""
    program = "import sys, taximeter; print([m for m in sys.modules if 'quota' in m or m == 'pydantic'])"
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert said.strip() == "[]"


def test_the_key_of_a_run_is_a_tag_that_its_sub_runs_keep(recorded: RecordedMeter) -> None:
    """Own tags take the place of inherited ones, but by whose key the customer came stays."""
    meter = recorded.meter
    with meter.run(account_id="acme", key_id="k1", tags={"team": "search"}) as run, run.node("a"):
        with meter.run(tags={"team": "ads"}) as inner, inner.node("b"):
            pass
        with meter.run(key_id="k2") as inner, inner.node("c"):
            pass
        meter.usage(http={"requests": 1}, tags={"x": "y"})
    tags = {event.node_id: event.tags for event in recorded.events}
    assert tags["a"] == {"team": "search", "key_id": "k1"}
    assert tags["b"] == {"team": "ads", "key_id": "k1"}
    assert tags["c"] == {"team": "search", "key_id": "k2"}
    assert tags[""] == {"x": "y", "key_id": "k1"}


def test_what_the_operator_does_for_himself_is_not_asked_for(stage: Stage, recorded: RecordedMeter) -> None:
    """Runs of context `system` count against nobody's quota."""
    with (
        recorded.meter.run(account_id="acme", context="system"),
        stage.gate.metered_node("n", {METER: 10**9}) as metered,
    ):
        assert metered.ticket is not None
    assert stage.line.sent == []
    assert recorded.only().transaction_id == ""
