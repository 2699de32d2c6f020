"""Holds within holds: they draw from the outer one, and what they do not use returns to it."""

from __future__ import annotations

from itertools import pairwise

from tests.quota.machine.asking import (
    ACCOUNT,
    ADA,
    TOKENS,
    Log,
    amounts,
    confirm,
    extend,
    knowing,
    level,
    limit,
    release,
    reserve,
)  # fmt: skip

from taximeter_consumers.quota.machine.holds import DEEPEST, LINGER
from taximeter_schemas.quota.answers import Status


def run_of(tokens: int = 100, most: int = 1000) -> Log:
    """A run that holds a budget."""
    log = knowing(limit(most))
    log.ask(reserve("run", tokens=tokens, ttl_seconds=600))
    return log


def inner(log: Log, hold_id: str, tokens: int, **said: object) -> Status:
    """Asks for an inner hold."""
    return log.ask(reserve(hold_id, tokens=tokens, **{"parent": "run", **said})).status


def test_inner_holds_draw_from_the_outer_one_alone() -> None:
    """They claim nothing at levels, and their own subject's limits are not asked."""
    log = run_of()
    assert log.ask(reserve("a", ADA, 60, parent="run")).status is Status.GRANTED
    assert log.used() == (0, 100, 0)
    assert inner(log, "b", 41) is Status.DENIED
    assert inner(log, "b", 40) is Status.GRANTED


def test_a_denied_inner_hold_says_what_is_left() -> None:
    """In words; no limit of a level has refused it."""
    log = run_of()
    answer = log.ask(reserve("a", tokens=101, parent="run"))
    assert answer.refused_by is None
    assert answer.reason == "no room for 101 total_tokens: of the 100 of hold run 100 are left"


def test_what_an_inner_hold_did_not_use_returns() -> None:
    """A confirm returns the rest, a release all."""
    log = run_of()
    inner(log, "a", 60)
    inner(log, "b", 40)
    log.ask(confirm("a", 10))
    assert inner(log, "c", 51) is Status.DENIED
    log.ask(release("b"))
    assert inner(log, "c", 90) is Status.GRANTED


def test_what_is_not_held_outside_cannot_be_drawn_inside() -> None:
    """Another meter, an unknown or a closed outer hold: refused, with the reason."""
    log = run_of()
    calls = log.ask(reserve("a", amounts=amounts(tokens=1, calls=1), parent="run"))
    assert (calls.status, "holds no http_requests" in calls.reason) == (Status.REFUSED, True)
    assert log.ask(reserve("a", amounts=amounts(calls=0), parent="run")).status is Status.GRANTED
    unknown = log.ask(reserve("b", tokens=1, parent="nobody"))
    assert (unknown.status, "there is no hold nobody" in unknown.reason) == (Status.REFUSED, True)
    log.ask(confirm("run", 1))
    assert inner(log, "c", 1) is Status.REFUSED


def test_an_inner_hold_never_outlives_the_outer_one() -> None:
    """Not by its own time, not by an extension; expiry takes it along."""
    log = run_of()
    until = log.at + 600_000_000
    assert log.ask(reserve("a", tokens=1, parent="run", ttl_seconds=3600)).expires_at == until
    assert log.ask(extend("a", 3600)).expires_at == until
    assert log.ask(extend("a", 1), after=600_000_000).status is Status.REFUSED


def test_a_confirm_of_the_outer_hold_settles_inner_ones_as_used_up() -> None:
    """Whatever it says itself: the larger counts."""
    log = run_of()
    inner(log, "a", 60)
    log.ask(confirm("run", 5))
    assert log.used() == (60, 0, 0)
    assert log.ask(release("a")).status is Status.SETTLED


def test_a_release_of_the_outer_hold_keeps_what_inner_ones_used() -> None:
    """Open inner ones are released with it, however deep."""
    log = run_of()
    inner(log, "a", 60)
    inner(log, "deep", 20, parent="a")
    inner(log, "b", 30)
    log.ask(confirm("b", 12))
    log.ask(release("run"))
    assert log.used() == (12, 0, 0)
    assert log.ask(reserve("deep", tokens=20, parent="a")).status is Status.RELEASED


def test_inner_holds_that_used_more_than_the_outer_one_held_count() -> None:
    """The outer one then claims all of it."""
    log = run_of(10)
    inner(log, "a", 10)
    log.ask(confirm("a", 25))
    assert log.used() == (0, 25, 0)


def test_events_of_inner_transactions_are_the_outer_hold_s() -> None:
    """What is visible of any of them is not claimed again."""
    log = run_of()
    inner(log, "a", 60)
    log.learn({ACCOUNT: level(limit(1000), used=50)}, visible={"a": amounts(tokens=30), "run": amounts(tokens=20)})
    assert log.used() == (50, 50, 0)


def test_what_is_visible_of_one_does_not_make_up_for_another() -> None:
    """The run's own 30 are visible; the 40 of its inner hold are still to come, all of them."""
    log = run_of()
    inner(log, "a", 40)
    log.ask(confirm("a", 40))
    log.learn({ACCOUNT: level(limit(1000), used=30)}, visible={"run": amounts(tokens=30)})
    log.ask(release("run"))
    assert log.used() == (70, 0, 0)


def test_what_the_outer_work_has_visibly_used_cannot_be_drawn() -> None:
    """Else both together would pass what is held."""
    log = run_of()
    log.learn({ACCOUNT: level(limit(1000), used=70)}, visible={"run": amounts(tokens=70)})
    assert inner(log, "a", 31) is Status.DENIED
    assert inner(log, "a", 30) is Status.GRANTED
    assert log.used() == (70, 30, 0)


def test_a_lease_within_a_hold_gets_a_quarter_of_what_is_left() -> None:
    """As one of a level does."""
    log = run_of()
    answer = log.ask(reserve("a", tokens=50, parent="run", kind="lease", at_least=amounts(tokens=5)))
    assert answer.amounts[TOKENS] == 25
    assert log.machine.outstanding().leases == 0


def test_a_late_confirm_within_a_closed_hold_counts() -> None:
    """Even when the outer one was done."""
    log = run_of()
    inner(log, "a", 60, ttl_seconds=1)
    log.ask(release("run"), after=2_000_000)
    log.learn({ACCOUNT: level(limit(1000))}, complete_until=log.at + 300_000_000)
    assert log.used() == (0, 0, 0)
    log.ask(confirm("a", 45), after=310_000_000)
    assert log.used() == (45, 0, 0)
    log.learn({ACCOUNT: level(limit(1000))}, complete_until=log.at + LINGER)
    assert log.used() == (0, 0, 0)


def test_holds_lie_within_one_another_only_so_deep() -> None:
    """A change reaches all holds around it, so there is a bound."""
    log = run_of()
    names = ["run", *(f"d{depth}" for depth in range(DEEPEST))]
    said = [inner(log, name, 5, parent=outer) for outer, name in pairwise(names)]
    assert said == [Status.GRANTED] * (DEEPEST - 1) + [Status.REFUSED]
