"""A gate over the real decision machine, at a time that the test moves."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.quota.sdk.machine_line import METER, Release, Reserve, Stage, rule

from taximeter_schemas.quota.limits import OnOutage
from taximeter_schemas.quota.subject import Subject

ACME = Subject(account_id="acme")
ADA = Subject(account_id="acme", user_id="ada")
LEVEL = "account/acme"
pytestmark = pytest.mark.usefixtures("by_hand")

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("check"), st.integers(0, 2), st.integers(1, 60)),
        st.tuples(st.just("done"), st.integers(0, 5), st.integers(0, 100)),
        st.tuples(st.just("cancel"), st.integers(0, 5), st.just(0)),
        st.tuples(st.just("move"), st.sampled_from([1, 7, 40, 100]), st.just(0)),
    ),
    max_size=40,
)


@given(limit=st.integers(20, 400), steps=STEPS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_checks_agrees_with_a_plain_counter(limit: int, steps: list[tuple[str, int, int]]) -> None:
    """Two gates' leases and any order of events: allowed work never exceeds the limit, and at the end exactly what was
    used is counted. A gate may deny what a plain counter would allow (others' leases), never the other way round.
    """
    stage = Stage({LEVEL: rule(LEVEL, limit)})
    subjects = (ACME, ADA, Subject(account_id="acme", user_id="bob"))
    opened, spent = [], 0
    for step, first, second in steps:
        if step == "check":
            ticket = stage.check(subjects[first], second)
            if ticket.allowed:
                assert ticket.transaction_id
                opened.append((ticket, second))
            else:
                assert "left" in ticket.reason
        elif step == "move":
            stage.move(first)
        elif opened:
            ticket, estimate = opened.pop(first % len(opened))
            if step == "done":
                actual = estimate * second // 100
                ticket.done({METER: actual})
                spent += actual
            else:
                ticket.cancel()
        stage.serve()
        assert spent + sum(estimate for _, estimate in opened) <= limit
        assert all(one.used + one.held <= limit for _, one in stage.line.machine.standings())
    left_open = sum(estimate for _, estimate in opened)
    assert stage.gate.close()
    assert sum(stage.confirmed().values()) == spent + left_open
    assert stage.line.machine.outstanding().leases == 0


def test_a_check_is_answered_without_a_question_while_there_is_a_lease() -> None:
    """A hundred checks within one lease: one reservation, of a lease, for at least what is needed."""
    stage = Stage({LEVEL: rule(LEVEL, 10**6)}, lease_checks=1_000)
    tickets = [stage.check(ACME, 10) for _ in range(100)]
    assert all(ticket.allowed for ticket in tickets)
    (asked,) = stage.line.sent
    assert isinstance(asked, Reserve)
    assert asked.kind == "lease"
    assert asked.at_least == {METER: Decimal(10)}
    assert {ticket.transaction_id for ticket in tickets} == {asked.hold_id}


def test_a_lease_is_renewed_before_it_is_used_up_and_the_old_one_settled_by_what_was_used() -> None:
    """At less than half, the next is asked for; the old one is confirmed once its last ticket is back."""
    stage = Stage({LEVEL: rule(LEVEL, 10**6)}, lease_checks=10)
    tickets = [stage.check(ACME, 10) for _ in range(6)]
    stage.serve()
    first = tickets[0].transaction_id
    assert stage.check(ACME, 10).transaction_id != first
    assert first not in stage.confirmed()
    for ticket in tickets:
        ticket.done({METER: 7})
    stage.serve()
    assert stage.confirmed()[first] == 42


def test_a_denial_explains_itself_and_is_not_asked_again_at_once() -> None:
    """Level, limit and what is left; for a moment it is repeated in-process, then asked anew."""
    stage = Stage({LEVEL: rule(LEVEL, 100)}, denied_seconds=2)
    ticket = stage.check(ACME, 500)
    assert not ticket.allowed
    assert "account/acme has used 0 of 100 total_tokens" in ticket.reason
    before = len(stage.line.sent)
    assert not stage.check(ACME, 500).allowed
    assert len(stage.line.sent) == before
    stage.move(3)
    assert not stage.check(ACME, 500).allowed
    assert len(stage.line.sent) > before


def test_a_smaller_check_is_not_covered_by_the_denial_of_a_larger_one() -> None:
    """What is left is given out."""
    stage = Stage({LEVEL: rule(LEVEL, 100)})
    assert not stage.check(ACME, 500).allowed
    assert stage.check(ACME, 50).allowed


def test_what_the_gate_itself_holds_is_no_reason_to_deny() -> None:
    """The rest of an unused lease goes back before a larger need is denied: all 100 can be had."""
    stage = Stage({LEVEL: rule(LEVEL, 100)})
    stage.check(ACME, 1).cancel()
    assert stage.check(ACME, 100).allowed


def test_a_limit_that_degrades_says_so_on_every_ticket() -> None:
    """The work may be done, as the limit says."""
    stage = Stage({LEVEL: rule(LEVEL, 10, degrade_to="small-model")})
    ticket = stage.check(ACME, 50)
    assert ticket.allowed
    assert ticket.degrade_to == "small-model"


def test_an_outage_is_survived_for_the_life_of_the_lease_and_then_fails_closed() -> None:
    """Within the lease nothing is noticed; after it, the policy of the limits denies, says why, and is counted."""
    stage = Stage({LEVEL: rule(LEVEL, 10**6)}, lease_checks=100, lease_seconds=10)
    stage.check(ACME, 10).done()
    stage.line.silent = True
    stage.move(6)
    assert stage.check(ACME, 10).allowed
    stage.line.tell_silence()
    stage.move(5)
    stage.line.tell_silence()
    ticket = stage.check(ACME, 10)
    assert not ticket.allowed
    assert "fail closed" in ticket.reason
    assert "taximeter quota service" in ticket.reason
    assert stage.gate.counters().closed_by_outage == 1


def test_an_outage_can_fail_open_and_all_of_it_is_counted_later() -> None:
    """Open is allowed and counted; what was used over the lease is told once somebody listens."""
    stage = Stage({LEVEL: rule(LEVEL, 10**6, on_outage=OnOutage.OPEN)}, lease_checks=2, lease_seconds=10)
    stage.check(ACME, 10).done()
    held = stage.check(ACME, 10)
    stage.line.silent = True
    stage.move(11)
    stage.line.tell_silence()
    stage.move(1)
    ticket = stage.check(ACME, 5_000)
    assert ticket.allowed
    assert "fail open" in ticket.reason
    assert ticket.transaction_id == held.transaction_id
    ticket.done({METER: 4_000})
    held.done()
    stage.serve()
    stage.line.catch_up()
    stage.move(2)
    assert stage.confirmed()[ticket.transaction_id] == 4_020
    assert stage.gate.counters().opened_by_outage == 1


def test_before_any_answer_the_setting_is_the_policy() -> None:
    """Nobody has answered yet: open or closed, as it was set."""
    for policy, allowed in ((OnOutage.OPEN, True), (OnOutage.CLOSED, False)):
        stage = Stage({}, on_outage=policy)
        stage.line.silent = True
        stage.check(ACME, 1)
        stage.line.tell_silence()
        assert stage.check(ACME, 1).allowed is allowed


def test_a_lease_whose_answer_was_lost_is_released() -> None:
    """The reservation stands in the log, and right after it its release: nothing leaks."""
    stage = Stage({LEVEL: rule(LEVEL, 100)})
    stage.line.silent = True
    stage.check(ACME, 100)
    stage.line.tell_silence()
    lost = next(one for one in stage.line.sent if isinstance(one, Reserve))
    assert any(isinstance(one, Release) and one.hold_id == lost.hold_id for one in stage.line.sent)
    stage.line.catch_up()
    stage.move(15)
    assert stage.check(ACME, 100).allowed


def test_a_lease_nobody_draws_from_goes_back() -> None:
    """After the idle time its amounts are free for others."""
    stage = Stage({LEVEL: rule(LEVEL, 100)}, idle_seconds=20)
    stage.check(ACME, 50).done({METER: 30})
    stage.move(40)
    assert sum(stage.confirmed().values()) == 30
    assert stage.line.machine.outstanding().leases == 0
    assert stage.gate.counters().leased == {}


def test_a_lease_with_long_work_is_kept_alive_until_the_work_is_done() -> None:
    """A ticket that is open for longer than the lease's life: its hold is extended, not expired."""
    stage = Stage({LEVEL: rule(LEVEL, 100)}, idle_seconds=10)
    ticket = stage.check(ACME, 50)
    stage.move(300)
    ((_, standing),) = list(stage.line.machine.standings())
    assert standing.held >= 50
    assert stage.line.machine.outstanding().leases >= 1
    ticket.done({METER: 40})
    stage.move(60)
    assert sum(stage.confirmed().values()) == 40


def test_a_run_holds_ahead_and_its_nodes_and_sub_runs_draw_from_it() -> None:
    """Denied before it starts if there is no room; inside, in-process; what is unused returns."""
    stage = Stage({LEVEL: rule(LEVEL, 1_000)})
    with stage.gate.reserve_run(ACME, {METER: 900}) as run:
        node = run.check({METER: 300, "executions": 1})
        assert node.allowed
        assert node.transaction_id == run.transaction_id
        with run.reserve({METER: 500}) as inner:
            assert inner.check({METER: 500}).allowed
            assert not inner.check({METER: 1}).allowed
            inner.confirm({METER: 200})
        assert not run.check({METER: 401}).allowed
        assert "400 of 900 total_tokens left" in run.check({METER: 401}).reason
        node.done({METER: 250})
    assert stage.confirmed()[run.hold_id] == 450
    ((_, standing),) = list(stage.line.machine.standings())
    assert (standing.used, standing.held) == (450, 0)


def test_many_subjects_do_not_stay_for_ever() -> None:
    """Purses of subjects that nobody asks for any more are let go, and what they counted is kept."""
    stage = Stage({LEVEL: rule(LEVEL, 10**6)}, idle_seconds=5)
    for number in range(20):
        stage.check(Subject(account_id="acme", user_id=f"u{number}"), 1).done()
    stage.move(30)
    assert stage.gate._purses == {}
    assert stage.gate.counters().allowed == 20
