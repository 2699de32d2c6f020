"""Whether a reserve fits, and what its answer says."""

from __future__ import annotations

from decimal import Decimal, localcontext
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from tests.quota.machine.asking import (
    ACCOUNT,
    ADA,
    CALLS,
    COST,
    HOUR,
    START,
    TOKENS,
    USER,
    Log,
    amounts,
    confirm,
    knowing,
    level,
    limit,
    release,
    reserve,
    show,
)  # fmt: skip

from taximeter_consumers.quota.machine.numbers import EXACT, quarter
from taximeter_schemas.quota.answers import Status
from taximeter_schemas.quota.commands import LONGEST_HOLD_SECONDS
from taximeter_schemas.quota.limits import Action, OnOutage, Window

SECOND = 1_000_000


def test_what_fits_is_granted_and_held() -> None:
    """The answer carries the transaction, what is held and until when."""
    log = knowing(limit(100), used=30)
    answer = log.ask(reserve("h", tokens=70, ttl_seconds=60))
    assert (answer.status, answer.transaction_id, answer.amounts) == (Status.GRANTED, "h", amounts(tokens=70))
    assert answer.expires_at == log.at + 60 * SECOND
    assert log.used() == (30, 70, 0)


def test_one_more_than_is_left_is_denied_and_leaves_nothing() -> None:
    """The denial names level and limit, what is left and when it resets, for programs and for people."""
    log = knowing(limit(100, plan_id="hobby", added=5), used=30)
    log.ask(reserve("other", tokens=40))
    answer = log.ask(reserve("h", tokens=36))
    assert answer.status is Status.DENIED
    assert not answer.is_granted
    refused = answer.refused_by
    assert refused is not None
    assert (refused.level, refused.limit_id, refused.plan_id) == (ACCOUNT, "month-limit", "hobby")
    assert (refused.used, refused.held, refused.remaining, refused.resets_at) == (30, 40, 35, START + HOUR)
    assert answer.reason.startswith("no room for 36 total_tokens: account/acme has used 30 of 105 total_tokens (5 of")
    assert log.used() == (30, 40, 0)
    assert log.ask(release("h")).status is Status.UNKNOWN_HOLD


def test_the_widest_limit_without_room_is_named() -> None:
    """Levels go from the widest to the narrowest, rules in the order of the facts."""
    log = Log()
    narrow, wide = limit(5, limit_id="narrow"), limit(4, limit_id="second", window=Window.DAY)
    log.learn({ACCOUNT: level(limit(9, limit_id="first"), wide), USER: level(narrow)})
    for tokens, named in ((10, "first"), (5, "second"), (6, "second")):
        refused = log.ask(reserve("h", ADA, tokens)).refused_by
        assert refused is not None
        assert refused.limit_id == named


def test_a_level_that_is_not_named_is_not_asked() -> None:
    """A user's limit does not stop who does not name the user."""
    log = Log()
    log.learn({ACCOUNT: level(), USER: level(limit(1))})
    assert log.ask(reserve("h", tokens=50)).status is Status.GRANTED


def test_every_meter_that_is_asked_must_fit() -> None:
    """A meter that nobody limits is given as asked."""
    log = knowing(limit(100), limit(2, meter=CALLS, limit_id="calls"))
    assert log.ask(reserve("a", amounts=amounts(tokens=1, calls=3))).status is Status.DENIED
    assert log.ask(reserve("b", amounts=amounts(tokens=1, calls=2, cost=9))).amounts[COST] == 9


def test_nothing_always_fits() -> None:
    """Where a limit is passed already, zero still fits."""
    log = knowing(limit(100), used=150)
    assert log.ask(reserve("h", amounts=amounts(tokens=0, calls=5))).status is Status.GRANTED


def test_a_soft_limit_warns() -> None:
    """The work may be done; the warning says which limit is passed."""
    log = knowing(limit(10, hard=False))
    assert log.ask(reserve("a", tokens=10)).warnings == ()
    answer = log.ask(reserve("b", tokens=1))
    assert answer.status is Status.GRANTED
    assert [one.limit_id for one in answer.warnings] == ["month-limit"]
    assert "0 are left" in answer.reason


def test_a_limit_that_degrades_says_to_what_and_holds() -> None:
    """The first such limit counts; a repeated command hears the same."""
    degrading = {"action": Action.DEGRADE, "window": Window.DAY}
    first = limit(10, limit_id="a", degrade_to="mini", **degrading)
    log = knowing(first, limit(5, limit_id="b", degrade_to="nano", **degrading))
    for _ in range(2):
        answer = log.ask(reserve("h", tokens=11))
        assert (answer.status, answer.degrade_to, answer.is_granted) == (Status.DEGRADED, "mini", True)
    assert log.used(limit_id="a") == (0, 11, 0)


def test_a_block_is_stronger_than_a_degrade() -> None:
    """Whichever limit comes first."""
    log = knowing(limit(1, limit_id="a", action=Action.DEGRADE, degrade_to="mini"), limit(2, limit_id="b"))
    assert log.ask(reserve("h", tokens=3)).status is Status.DENIED


def test_a_window_of_which_nothing_is_known_is_unavailable() -> None:
    """Facts that are too old to know the window: unknown is not zero. They are asked for anew."""
    log = knowing(limit(100))
    answer = log.ask(reserve("h", tokens=1), after=2 * HOUR)
    assert (answer.status, answer.on_outage) == (Status.UNAVAILABLE, OnOutage.CLOSED)
    assert "not known" in answer.reason
    assert len(log.effects) == 2


def test_a_soft_limit_of_an_unknown_window_only_says_so() -> None:
    """Nothing is stopped by it."""
    log = knowing(limit(100, hard=False))
    answer = log.ask(reserve("h", tokens=1), after=2 * HOUR)
    assert answer.status is Status.GRANTED
    assert "not known" in answer.reason


def test_a_denial_that_is_known_goes_before_what_is_not_known() -> None:
    """Else a policy for outages could let pass what is used up."""
    log = knowing(limit(100, limit_id="old", spans=()), limit(1, Window.MINUTE))
    assert log.ask(reserve("h", tokens=2)).status is Status.DENIED


def test_a_dry_run_says_what_would_be_and_holds_nothing() -> None:
    """Granted, denied, degraded alike; also within another hold."""
    log = knowing(limit(10))
    answer = log.ask(reserve("h", tokens=10, dry_run=True))
    assert (answer.status, answer.transaction_id, answer.expires_at) == (Status.GRANTED, "", 0)
    assert log.ask(reserve("h", tokens=11, dry_run=True)).status is Status.DENIED
    log.ask(reserve("outer", tokens=4))
    assert log.ask(reserve("h", tokens=5, parent="outer", dry_run=True)).status is Status.DENIED
    assert log.used() == (0, 4, 0)


def test_a_repeated_reserve_is_the_same_hold() -> None:
    """It holds nothing more, even where it would have no room now; closed, it says how."""
    log = knowing(limit(10))
    first = log.ask(reserve("h", tokens=10))
    again = log.ask(reserve("h", tokens=10))
    assert (again.status, again.expires_at, again.amounts) == (first.status, first.expires_at, first.amounts)
    assert log.used() == (0, 10, 0)
    log.ask(release("h"))
    assert log.ask(reserve("h", tokens=10)).status is Status.RELEASED


def test_at_least_gives_a_quarter_of_what_is_left() -> None:
    """So that many leases find room; never less than the least, never more than asked, whole where a meter is whole."""
    log = knowing(limit(103))
    given = [log.ask(reserve(f"h{n}", tokens=60, at_least=amounts(tokens=10))).amounts[TOKENS] for n in range(4)]
    assert given == [25, 19, 14, 11]
    assert [later <= earlier for earlier, later in pairwise(given)]
    assert log.ask(reserve("x", tokens=60, at_least=amounts(tokens=35))).status is Status.DENIED
    assert log.ask(reserve("y", tokens=60, at_least=amounts(tokens=34))).amounts == amounts(tokens=34)
    assert log.ask(reserve("z", tokens=60, at_least=amounts(tokens=0))).amounts == amounts(tokens=0)


def test_at_least_looks_at_limits_that_block_only() -> None:
    """A soft limit neither shrinks nor stops it, and what nobody limits is given whole."""
    log = knowing(limit(4, hard=False), limit(80, limit_id="day", window=Window.DAY))
    answer = log.ask(reserve("h", amounts=amounts(tokens=50, calls=7), at_least=amounts(tokens=1, calls=1)))
    assert answer.amounts == amounts(tokens=20, calls=7)
    assert [one.limit_id for one in answer.warnings] == ["month-limit"]


def test_at_least_that_does_not_name_a_meter_wants_all_of_it() -> None:
    """What may be less must be said."""
    log = knowing(limit(10), limit(10, meter=CALLS, limit_id="calls"))
    answer = log.ask(reserve("h", amounts=amounts(tokens=8, calls=8), at_least=amounts(tokens=1)))
    assert answer.amounts == amounts(tokens=2, calls=8)


@given(st.decimals(-10, 10**18, places=18), st.sampled_from([TOKENS, COST, "plugin_units.page"]))
def test_a_quarter_never_is_more_than_a_quarter(amount: Decimal, meter: str) -> None:
    """Rounded down to what the meter can count."""
    with localcontext(EXACT):
        found = quarter(meter, amount)
        assert 0 <= found * 4 <= max(amount, Decimal(0))
    assert meter != TOKENS or found == found.to_integral_value()


def test_policy_for_outages_is_open_only_if_no_hard_limit_is_closed() -> None:
    """Soft limits have no say."""
    is_open = limit(5, on_outage=OnOutage.OPEN)
    assert knowing(is_open, limit(5, hard=False)).ask(reserve("h", tokens=1)).on_outage is OnOutage.OPEN
    assert knowing(is_open, limit(5)).ask(reserve("h", tokens=1)).on_outage is OnOutage.CLOSED
    assert knowing().ask(reserve("h", tokens=1)).on_outage is OnOutage.OPEN


def test_show_tells_limits_use_and_holds() -> None:
    """Those of the levels that are named; the newest holds, if there are many."""
    log = Log()
    log.learn({ACCOUNT: level(limit(1000), used=3), USER: level(limit(20))})
    for number in range(205):
        log.ask(reserve(f"h{number}", ADA if number == 0 else show().subject, 1, ttl_seconds=LONGEST_HOLD_SECONDS))
    answer = log.ask(show(ADA))
    assert [(one.level, one.used, one.held) for one in answer.standings] == [(ACCOUNT, 3, 205), (USER, 0, 1)]
    assert [one.hold_id for one in answer.holds] == ["h0"]
    everything = log.ask(show())
    assert len(everything.holds) == 200
    assert everything.reason == "5 older holds are not shown"
    assert everything.hidden_holds == 5


def test_older_holds_are_shown_before_a_place() -> None:
    """Each once, whatever was made meanwhile; a hold that is named is shown alone, also when it is over."""
    log = Log()
    log.learn({ACCOUNT: level(limit(1000)), USER: level(limit(20))})
    for number in range(205):
        log.ask(reserve(f"h{number}", ADA if number == 0 else show().subject, 1, ttl_seconds=LONGEST_HOLD_SECONDS))
    newest = log.ask(show())
    log.ask(reserve("later", show().subject, 1))
    older = log.ask(show().model_copy(update={"before": newest.holds[0].place}))
    assert [one.hold_id for one in (*older.holds, *newest.holds)] == [f"h{number}" for number in range(205)]
    assert older.hidden_holds == 0
    named = show().model_copy(update={"only": "h3"})
    log.ask(confirm("h3", tokens=1))
    assert [(one.hold_id, one.state) for one in log.ask(named).holds] == [("h3", "settled")]
    assert log.ask(show(ADA).model_copy(update={"only": "h3"})).holds == ()
    assert log.ask(show().model_copy(update={"only": "none"})).holds == ()


def test_more_digits_than_a_decimal_has_by_itself_are_not_lost() -> None:
    """A sum of a cost of 18 digits before the point and 18 after it is exact."""
    most, tiny = Decimal(10) ** 18, Decimal(1).scaleb(-18)
    log = knowing(limit(str(most), meter=COST))
    assert log.ask(reserve("a", amounts=amounts(cost=f"{'9' * 18}.{'9' * 18}"))).status is Status.GRANTED
    assert log.ask(reserve("b", amounts={COST: 2 * tiny})).status is Status.DENIED
    assert log.ask(reserve("c", amounts={COST: tiny})).status is Status.GRANTED
    assert log.used() == (0, most, 0)
