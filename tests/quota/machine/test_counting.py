"""What a hold claims, from its grant until the truth has all of it."""

from __future__ import annotations

from decimal import Decimal

from tests.quota.machine.asking import (
    ACCOUNT,
    ADA,
    HOUR,
    START,
    TOKENS,
    USER,
    Log,
    amounts,
    confirm,
    extend,
    knowing,
    level,
    limit,
    release,
    reserve,
    show,
)  # fmt: skip

from taximeter_consumers.quota.machine.holds import LINGER, PATIENCE
from taximeter_schemas.quota.answers import Status
from taximeter_schemas.quota.limits import MINUTE, Window

SECOND = 1_000_000


def ten_of(log: Log, ttl_seconds: int = 60) -> None:
    """A hold of ten tokens."""
    log.ask(reserve("h", tokens=10, ttl_seconds=ttl_seconds))


def test_a_settled_hold_claims_what_was_used() -> None:
    """Until the events show it, it counts as used."""
    log = knowing(limit(100))
    ten_of(log)
    assert log.ask(confirm("h", 4)).status is Status.SETTLED
    assert log.used() == (4, 0, 0)


def test_more_than_was_held_counts_too() -> None:
    """Also in meters that were not held, and beyond the limit."""
    log = knowing(limit(12), limit(9, meter="http_requests", limit_id="calls"))
    ten_of(log)
    log.ask(confirm("h", tokens=15, calls=2))
    assert log.used() == (15, 0, 0)
    assert log.used(limit_id="calls") == (2, 0, 0)


def test_a_meter_that_the_confirm_does_not_name_was_used_up() -> None:
    """What is not known is not zero."""
    log = knowing(limit(100))
    ten_of(log)
    log.ask(confirm("h"))
    assert log.used() == (10, 0, 0)


def test_what_is_visible_is_not_claimed_again() -> None:
    """Open or settled, used and held together stay the same while events become visible."""
    log = knowing(limit(100))
    ten_of(log)
    log.learn({ACCOUNT: level(limit(100), used=3)}, visible={"h": amounts(tokens=3)})
    assert log.used() == (3, 7, 0)
    log.ask(confirm("h", 8))
    assert log.used() == (8, 0, 0)
    log.learn({ACCOUNT: level(limit(100), used=8)}, visible={"h": amounts(tokens=8)})
    assert log.used() == (8, 0, 0)


def test_more_visible_than_said_claims_nothing_less_than_nothing() -> None:
    """Another hold's claim is not made smaller by it."""
    log = knowing(limit(100))
    ten_of(log)
    log.ask(reserve("other", tokens=5))
    log.learn({ACCOUNT: level(limit(100), used=30)}, visible={"h": amounts(tokens=30)})
    assert log.used() == (30, 5, 0)


def test_visible_counts_only_with_the_usage_of_the_same_level() -> None:
    """Facts of the account alone show the user's level nothing: its usage does not have these events yet."""
    log = Log()
    log.learn({ACCOUNT: level(limit(100)), USER: level(limit(10))})
    log.ask(reserve("h", ADA, 10))
    log.learn({ACCOUNT: level(limit(100), used=6)}, visible={"h": amounts(tokens=6)}, complete_until=log.at + HOUR)
    assert log.used() == (6, 4, 0)
    assert log.used(USER) == (0, 10, 0)
    log.ask(confirm("h", 9))
    assert log.used() == (6, 0, 0), "all is complete there"
    assert log.used(USER) == (9, 0, 0)
    log.learn({USER: level(limit(10), used=6)}, visible={"h": amounts(tokens=6)})
    assert log.used(USER) == (9, 0, 0)


def test_older_facts_change_nothing() -> None:
    """Whoever sends them, and whatever they say."""
    log = knowing(limit(100))
    ten_of(log)
    log.learn({ACCOUNT: level(limit(100), used=7)}, visible={"h": amounts(tokens=5)})
    log.learn({ACCOUNT: level(limit(5), used=1)}, visible={"h": amounts(tokens=9)}, as_of=log.at - 1)
    assert log.used() == (7, 5, 0)


def test_what_is_visible_may_come_after_the_usage_it_is_in() -> None:
    """In a record of its own as of the same moment: it counts at the levels that have the usage of then, no others. And
    thresholds are looked at when all of it is there, not in between."""
    log = knowing(limit(10, thresholds=(Decimal(90),)))
    ten_of(log)
    log.ask(confirm("h", 5))
    at = log.at
    effects = log.learn({ACCOUNT: level(limit(10, thresholds=(Decimal(90),)), used=5)}, as_of=at + 5, more=True)
    assert (effects, log.used()) == ([], (10, 0, 0)), "too much for a moment, and nobody is told of it"
    assert log.learn({}, visible={"h": amounts(tokens=5)}, as_of=at + 4) == []
    assert log.used() == (10, 0, 0), "as of another moment"
    assert log.learn({}, visible={"h": amounts(tokens=5)}, as_of=at + 5) == []
    assert log.used() == (5, 0, 0)


def test_released_holds_claim_nothing() -> None:
    """The room is there at once, for good."""
    log = knowing(limit(10))
    ten_of(log)
    assert log.ask(release("h")).status is Status.RELEASED
    assert log.used() == (0, 0, 0)
    assert log.ask(reserve("next", tokens=10)).status is Status.GRANTED


def test_a_settled_hold_claims_until_all_is_complete_a_while_after() -> None:
    """What was said to be used but never seen is dropped then, and not before: events may come after the confirm."""
    log = knowing(limit(100))
    ten_of(log)
    log.ask(confirm("h", 10))
    closed_at = log.at
    log.learn({ACCOUNT: level(limit(100))}, complete_until=closed_at + LINGER - 1)
    assert log.used() == (10, 0, 0)
    log.learn({ACCOUNT: level(limit(100))}, complete_until=closed_at + LINGER)
    assert log.used() == (0, 0, 0)


def test_an_expired_hold_claims_until_its_late_work_must_be_visible() -> None:
    """Expiry alone frees nothing."""
    log = knowing(limit(100))
    ten_of(log, 60)
    expires_at = log.at + 60 * SECOND
    log.learn({ACCOUNT: level(limit(100), used=4)}, after=61 * SECOND, visible={"h": amounts(tokens=4)})
    assert log.used() == (4, 6, 0)
    log.learn({ACCOUNT: level(limit(100), used=4)}, complete_until=expires_at + PATIENCE - 1)
    assert log.used() == (4, 6, 0)
    log.learn({ACCOUNT: level(limit(100), used=4)}, complete_until=expires_at + PATIENCE)
    assert log.used() == (4, 0, 0)


def test_a_hold_expires_at_its_time_and_not_before() -> None:
    """It is open a microsecond before; a repeated reserve hears of the expiry."""
    log = knowing(limit(100))
    ten_of(log, 60)
    assert log.ask(extend("h", 1), after=60 * SECOND - 1).status is Status.EXTENDED
    assert log.ask(extend("h", 1), after=1 * SECOND).status is Status.REFUSED
    answer = log.ask(reserve("h", tokens=10))
    assert answer.status is Status.RELEASED
    assert "expired" in answer.reason


def test_a_late_confirm_counts() -> None:
    """After an expiry, even one that is done, and after a release: what was used was used."""
    log = knowing(limit(100))
    ten_of(log, 1)
    log.learn({ACCOUNT: level(limit(100))}, after=2 * SECOND, complete_until=log.at + SECOND + PATIENCE)
    assert log.used() == (0, 0, 0)
    assert log.ask(confirm("h", 7), after=10 * MINUTE).status is Status.SETTLED
    assert log.used() == (7, 0, 0)
    log.ask(reserve("other", tokens=5))
    log.ask(release("other"))
    assert log.ask(confirm("other", 3)).status is Status.SETTLED
    assert log.used() == (10, 0, 0)


def test_what_is_settled_stays_settled() -> None:
    """A second confirm or a release hears the same and changes nothing."""
    log = knowing(limit(100))
    ten_of(log)
    log.ask(confirm("h", 4))
    assert log.ask(confirm("h", 9)).status is Status.SETTLED
    assert log.ask(release("h")).status is Status.SETTLED
    assert log.used() == (4, 0, 0)


def test_an_extended_hold_lasts_longer_never_less_long() -> None:
    """From now on."""
    log = knowing(limit(100))
    ten_of(log, 60)
    first = log.at + 60 * SECOND
    assert log.ask(extend("h", 10)).expires_at == first
    assert log.ask(extend("h", 600)).expires_at == log.at + 600 * SECOND
    assert log.ask(extend("gone", 600)).status is Status.UNKNOWN_HOLD


def test_a_minute_counts_open_holds_and_those_closed_in_it() -> None:
    """What was settled a minute ago is in an earlier minute; the month still has it."""
    log = knowing(limit(20, Window.MINUTE), limit(100))
    log.ask(reserve("a", tokens=5, ttl_seconds=600))
    ten_of(log)
    log.ask(confirm("h", 8))
    assert log.used(limit_id="minute-limit") == (8, 5, 0)
    log.ask(show(), after=MINUTE)
    assert log.used(limit_id="minute-limit") == (0, 5, 0)
    assert log.used() == (8, 5, 0)
    log.ask(confirm("a", 5))
    assert log.used(limit_id="minute-limit") == (5, 0, 0)


def test_a_minute_has_its_own_usage() -> None:
    """Usage of the minute that facts name; a minute that they do not name has just begun."""
    log = Log()
    log.learn({ACCOUNT: level(limit(20, Window.MINUTE), usage={TOKENS: {START: Decimal(9)}})})
    assert log.used(limit_id="minute-limit") == (9, 0, 0)
    log.ask(show(), after=MINUTE)
    assert log.used(limit_id="minute-limit") == (0, 0, 0)


def test_a_new_window_begins_with_what_is_still_claimed() -> None:
    """At the end of the month usage is zero again, holds go on to claim."""
    log = knowing(limit(100), used=90)
    log.ask(reserve("h", tokens=10, ttl_seconds=2 * 3600))
    assert log.ask(reserve("x", tokens=1)).status is Status.DENIED
    log.ask(show(), after=HOUR)
    assert log.used() == (0, 10, 0)


def test_a_run_has_one_window_for_ever() -> None:
    """Its usage is the one of key 0, and it never resets."""
    log = knowing(limit(10, Window.RUN), used=8)
    answer = log.ask(reserve("h", tokens=3))
    assert answer.refused_by is not None
    assert (answer.refused_by.used, answer.refused_by.resets_at) == (8, None)


def test_leases_are_told_apart() -> None:
    """They count like holds; what they hold is the most by which gates can overshoot."""
    log = knowing(limit(100))
    log.ask(reserve("a", tokens=10, kind="lease"))
    log.ask(reserve("b", tokens=5))
    assert log.used() == (0, 15, 10)
    outstanding = log.machine.outstanding()
    assert (outstanding.holds, outstanding.leases, outstanding.leased) == (1, 1, amounts(tokens=10))


def test_calls_without_a_price_are_told_with_a_cost() -> None:
    """Only a cost lacks them."""
    log = Log()
    log.learn({ACCOUNT: level(limit(5, meter="cost_usd"), limit(5, limit_id="tokens"), lacking={START: 3})})
    assert [one.lacking for _, one in log.machine.standings()] == [3, 0]
