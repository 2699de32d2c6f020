"""Commands that wait for facts, and accounts that are decided elsewhere."""

from __future__ import annotations

from tests.quota.machine.asking import (
    ACCOUNT,
    ACME,
    ADA,
    ROOT,
    USER,
    Log,
    asked,
    confirm,
    knowing,
    level,
    limit,
    release,
    reserve,
    show,
)  # fmt: skip

from taximeter_consumers.quota.machine.effects import AskQuote, Load, Reply
from taximeter_consumers.quota.machine.machine import Machine
from taximeter_schemas.quota.answers import Status
from taximeter_schemas.quota.commands import Facts, Quote
from taximeter_schemas.quota.limits import MINUTE
from taximeter_schemas.quota.subject import Subject, partition_of


def test_a_level_without_facts_is_asked_for_and_waited_for() -> None:
    """Nothing is answered before they come; then in the order of asking."""
    log = Log()
    assert log.apply(reserve("a", ADA, 6)) == []
    assert log.effects == [Load(ROOT, ADA)]
    assert log.apply(reserve("b", tokens=6)) == []
    assert log.effects == [], "the account is on its way"
    answers = log.learn({ACCOUNT: level(limit(10)), USER: level()})
    assert [(one.hold_id, one.status) for one in answers] == [("a", Status.GRANTED), ("b", Status.DENIED)]


def test_later_commands_of_the_root_queue_behind() -> None:
    """Also those whose facts are there; confirms and releases are done at once."""
    log = knowing(limit(10))
    log.ask(reserve("open", tokens=1))
    log.apply(reserve("a", ADA, 1))
    assert log.apply(reserve("b", tokens=1)) == []
    assert log.apply(show()) == []
    assert log.ask(confirm("open", 1)).status is Status.SETTLED
    assert [one.status for one in log.learn({USER: level()})] == [Status.GRANTED, Status.GRANTED, Status.SHOWN]


def test_a_release_takes_back_what_waits() -> None:
    """Its caller has given up: else it would hold what nobody uses until it expires. Others go on waiting."""
    log = knowing(limit(10))
    log.apply(reserve("a", ADA, 6))
    log.apply(reserve("b", tokens=6))
    given_up, released = log.apply(release("a"))
    assert (given_up.hold_id, given_up.status) == ("a", Status.UNAVAILABLE)
    assert (released.hold_id, released.status, released.amounts) == ("a", Status.RELEASED, {})
    assert log.ask(release("a")).status is Status.UNKNOWN_HOLD
    assert [(one.hold_id, one.status) for one in log.learn({USER: level()})] == [("b", Status.GRANTED)]


def test_what_was_taken_back_is_not_on_its_way_any_more() -> None:
    """Whoever takes over does not know of it, and must ask for the same."""
    log = knowing(limit(10))
    log.apply(reserve("a", ADA, 6))
    log.apply(release("a"))
    log.apply(reserve("b", ADA, 6))
    assert log.effects == [Load(ROOT, ADA)]


def test_a_reserve_that_was_decided_is_repeated_at_once() -> None:
    """It need not wait behind others."""
    log = knowing(limit(10))
    log.ask(reserve("h", tokens=1))
    log.apply(reserve("a", ADA, 1))
    assert log.ask(reserve("h", tokens=1)).status is Status.GRANTED


def test_the_same_reserve_twice_in_the_queue_is_one_hold() -> None:
    """The second hears of the first."""
    log = Log()
    log.apply(reserve("a", tokens=6))
    log.apply(reserve("a", tokens=6))
    assert [one.status for one in log.learn({ACCOUNT: level(limit(10))})] == [Status.GRANTED, Status.GRANTED]
    assert log.used() == (0, 6, 0)


def test_facts_that_cannot_be_had_are_said_to_be_unavailable() -> None:
    """To those who wait for these levels; the others go on waiting, and their levels are asked for anew."""
    log = Log()
    log.apply(reserve("a", ADA, 1))
    log.apply(reserve("b", Subject(account_id="acme", project_id="p"), 1))
    (answer,) = log.learn({ACCOUNT: level()}, unavailable=(USER,))
    assert (answer.hold_id, answer.status) == ("a", Status.UNAVAILABLE)
    assert "user/acme/ada" in answer.reason
    (answer,) = log.learn({}, unavailable=("project/acme/p",))
    assert (answer.hold_id, answer.status) == ("b", Status.UNAVAILABLE)
    log.apply(reserve("c", ADA, 1))
    assert log.effects == [Load(ROOT, ADA)]


def test_what_is_known_stays_known_while_clickhouse_is_away() -> None:
    """Only what was never known is unavailable."""
    log = knowing(limit(10))
    log.learn({}, unavailable=(ACCOUNT,))
    assert log.ask(reserve("h", tokens=1)).status is Status.GRANTED


def test_who_has_gone_is_given_nothing() -> None:
    """A hold that nobody knows of would only be in the way."""
    log = Log()
    log.apply(reserve("gone", tokens=6, wait_ms=1_000))
    log.apply(reserve("here", tokens=6, wait_ms=9_000))
    answers = log.learn({ACCOUNT: level(limit(10))}, after=2_000_000)
    assert [one.status for one in answers] == [Status.UNAVAILABLE, Status.GRANTED]


def test_who_waits_in_vain_is_told_even_if_no_facts_ever_come() -> None:
    """By the first record of a later minute, whatever its root."""
    log = Log()
    log.apply(reserve("h", tokens=6, wait_ms=1_000))
    effects = log.machine.apply(Facts(root="account/other", as_of=0), log.at + MINUTE, 1)
    assert [one.answer.status for one in effects if isinstance(one, Reply)] == [Status.UNAVAILABLE]
    assert not any(isinstance(effect, Load) for effect in effects)


def test_after_a_restore_everybody_who_waits_is_known() -> None:
    """So that the new owner can ask again."""
    log = Log()
    log.apply(reserve("a", ADA, 1))
    log.apply(show())
    records = {key: body for key, body in log.machine.take_dirty().items() if body is not None}
    restored = Machine.restored(0, records)
    assert restored.parked() == (Load(ROOT, ADA), Load(ROOT, ACME)) == log.machine.parked()


def test_an_account_that_moved_is_told_where() -> None:
    """Nothing is waited for; it comes back when facts name it without a move."""
    log = Log()
    log.apply(reserve("h", ADA, 1))
    (answer,) = log.learn({}, moved_to={"acme": "organisation/big"})
    assert (answer.status, answer.moved_to) == (Status.MOVED, "organisation/big")
    assert log.ask(show()).status is Status.MOVED
    log.learn({ACCOUNT: level(), USER: level()})
    assert log.ask(reserve("h", ADA, 1)).status is Status.GRANTED


def test_holds_of_an_account_that_moved_go_on() -> None:
    """What lies in them, too."""
    log = knowing(limit(10))
    log.ask(reserve("h", tokens=5))
    log.learn({ACCOUNT: level(limit(10))}, moved_to={"acme": "organisation/big"})
    assert log.ask(reserve("a", tokens=1, parent="h")).status is Status.GRANTED
    assert log.ask(reserve("b", tokens=1, parent="x")).status is Status.MOVED
    assert log.ask(confirm("h", 2)).status is Status.SETTLED


def test_a_root_that_is_decided_elsewhere_is_refused() -> None:
    """Two owners of one root would each give away the whole limit."""
    partitions = 7
    right = partition_of(ROOT, partitions)
    wrong = Log(Machine((right + 1) % partitions, partitions))
    answer = wrong.ask(reserve("h", tokens=1))
    assert answer.status is Status.REFUSED
    assert f"partition {right} of 7" in answer.reason
    assert wrong.learn({ACCOUNT: level()}) == []
    assert wrong.machine.roots() == ()


def test_a_quote_is_answered_by_others() -> None:
    """From history, which the machine does not have."""
    log = Log()
    quote = Quote(**asked(subject=ACME, workflow_id="w"))
    log.apply(quote)
    assert log.effects == [AskQuote(quote)]


def test_commands_about_unknown_roots_leave_nothing() -> None:
    """Whatever text stands for the root."""
    log = Log()
    log.ask(release("h"))
    assert log.machine.roots() == ()
    assert set(log.machine.take_dirty()) == {"partition"}
