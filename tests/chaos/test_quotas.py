"""Every check of quotas turns red for a fault that is planted into sound evidence, and only then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.chaos.sound import sound

from chaos.checks import judge
from chaos.checks.quotas import CHECKS
from chaos.quota.call_journal import Call, Called, CallJournal, Use, read_calls
from chaos.quota.evidence import Logged, QuotaEvidence
from chaos.quota.notes import THRESHOLDS, QuotaNotes, Stop
from chaos.quota.recount import recounted
from chaos.quota.replay import replayed
from taximeter_schemas.quota.answers import Answer, Status
from taximeter_schemas.quota.commands import Command, Confirm, Facts, LevelFacts, Release, Reserve, Show
from taximeter_schemas.quota.limits import Rule, Window
from taximeter_schemas.quota.subject import Subject

ACME = Subject(account_id="acme")
TEN = {"total_tokens": Decimal(10)}
SECOND = 1_000_000
HOURS = 3_600 * SECOND
BEGAN = 1_800_000_000 * SECOND


def _commands() -> list[Command]:
    rule = Rule(limit_id="most", meter="total_tokens", window=Window.MINUTE, amount=Decimal(100), thresholds=THRESHOLDS)
    facts = Facts(root="account/acme", as_of=BEGAN, levels={"account/acme": LevelFacts(rules=(rule,))})
    address: dict[str, Any] = {"caller": "c", "answer_to": 0}

    def held(name: str, amount: int, **more: Any) -> Reserve:
        amounts = {"total_tokens": Decimal(amount)}
        return Reserve(command_id=f"r-{name}", subject=ACME, hold_id=name, amounts=amounts, **address, **more)

    confirmed = Confirm(command_id="c-a", root=ACME.root, hold_id="a", actual={"total_tokens": Decimal(50)}, **address)
    return [
        facts, held("a", 60), held("b", 40, kind="lease"), held("c", 10), confirmed, held("f", 10, ttl_seconds=1),
        Show(command_id="s-1", subject=ACME, **address),
        Release(command_id="x-b", root=ACME.root, hold_id="b", **address),
        Release(command_id="x-f", root=ACME.root, hold_id="f", **address),
        Show(command_id="s-2", subject=ACME, **address),
    ]  # fmt: skip


def quotas() -> QuotaEvidence:
    """60 and 40 of 100 are granted, 10 more denied; 50 of the 60 are confirmed; what is left is let go of."""
    commands = [Logged(0, at, BEGAN + at * SECOND // 4, one) for at, one in enumerate(_commands())]
    replay = replayed(commands, {0: _meta(commands)}, 0)
    shown = replay.answers["s-2"].model_dump(mode="json")
    calls = {
        1: Call("reserve", "a", Decimal(60), BEGAN, replay.answers["r-a"]),
        2: Call("confirm", "a", Decimal(50), BEGAN, replay.answers["c-a"]),
        3: Call("reserve", "c", Decimal(10), BEGAN, replay.answers["r-c"]),
        4: Call("release", "b", Decimal(0), BEGAN, timed_out=True),
    }
    return QuotaEvidence(
        QuotaNotes(limits={"acme": Decimal(100)}, shown={"acme": shown}, seen={"a denial": 1}),
        commands,
        {name: [answer] for name, answer in replay.answers.items()},
        replay.alerts,
        replay.records,
        [Called("reservers1", "acme", calls, counters={})],
    )


def _meta(commands: list[Logged]) -> dict[str, bytes]:
    from taximeter_consumers.quota.machine.records import PARTITION, Meta, meta_record

    return {PARTITION: meta_record(Meta(len(commands), commands[-1].at, 0, -1))}


def judged(evidence: QuotaEvidence) -> set[str]:
    """The checks of quotas that are red."""
    return {name for name in judge(replace(sound(20), quotas=evidence)) if name.startswith("quota")}


def test_sound_evidence_is_green() -> None:
    """Nothing is wrong with a machine that nobody killed."""
    evidence = quotas()
    assert evidence.replay.answers["r-c"].status is Status.DENIED
    assert evidence.recount.accounts["acme"].peak == 100
    assert evidence.replay.alerts
    assert judged(evidence) == set()


def _answer(evidence: QuotaEvidence, name: str, **changed: Any) -> QuotaEvidence:
    answer = evidence.answers[name][0].model_copy(update=changed)
    return replace(evidence, answers={**evidence.answers, name: [answer]})


def _granted(evidence: QuotaEvidence, after: int) -> QuotaEvidence:
    """10 more than there is, so many microseconds after they were asked for."""
    asked = next(one for one in evidence.commands if getattr(one.command, "command_id", "") == "r-c")
    return _answer(evidence, "r-c", status=Status.GRANTED, expires_at=asked.at + after + 900 * SECOND, amounts=TEN)


def _called(evidence: QuotaEvidence, **changed: Any) -> QuotaEvidence:
    return replace(evidence, callers=[replace(evidence.callers[0], **changed)])


def _shown(evidence: QuotaEvidence, **changed: Any) -> QuotaEvidence:
    answer = Answer.model_validate(evidence.notes.shown["acme"])
    standing = answer.standings[0].model_copy(update=changed)
    told = answer.model_copy(update={"standings": (standing,)}).model_dump(mode="json")
    return replace(evidence, notes=replace(evidence.notes, shown={"acme": told}))


def _used(evidence: QuotaEvidence, **use: Any) -> QuotaEvidence:
    used = Use(**{"hold_id": "a", "amount": Decimal(50), "at": BEGAN, "opened": False, **use})
    return _called(evidence, uses=(used,), counters={"opened_by_outage": 0})


def _stopped(evidence: QuotaEvidence, amount: int) -> QuotaEvidence:
    """Between the first show and the release of the lease, which holds 40."""
    since, until = evidence.commands[6].at, evidence.commands[7].at
    notes = replace(evidence.notes, stops=[Stop(since, until)])
    return replace(_used(evidence, amount=Decimal(amount), at=since + 1, hold_id=""), notes=notes)


PLANTED: dict[str, tuple[Callable[[QuotaEvidence], QuotaEvidence], set[str]]] = {
    "granted beyond the limit": (
        lambda one: _granted(one, after=0),
        {"quota_overshoot", "quota_leaks"},
    ),
    "answered in two ways": (
        lambda one: replace(one, answers={**one.answers, "r-a": [one.answers["r-a"][0], one.answers["r-c"][0]]}),
        {"quota_answers"},
    ),
    "a call that never ended": (
        lambda one: _called(one, calls={**one.callers[0].calls, 9: Call("reserve", "z", Decimal(1), BEGAN)}),
        {"quota_callers"},
    ),
    "a call that raised": (
        lambda one: _called(one, calls={9: Call("reserve", "z", Decimal(1), BEGAN, failure="KeyError: 'x'")}),
        {"quota_callers"},
    ),
    "a hold that was told as settled and is not": (
        lambda one: _called(one, calls={1: Call("confirm", "a", Decimal(51), BEGAN, one.answers["c-a"][0])}),
        {"quota_effects"},
    ),
    "a record of state that is lost": (
        lambda one: replace(one, state={0: dict(list(one.state[0].items())[:-1])}),
        {"quota_state"},
    ),
    "a show that forgot what is used": (lambda one: _shown(one, used=Decimal(49)), {"quota_leaks"}),
    "a show that still holds something": (lambda one: _shown(one, held=Decimal(1)), {"quota_leaks"}),
    "an alert twice": (lambda one: replace(one, alerts=[*one.alerts, one.alerts[0]]), {"quota_alerts"}),
    "an alert that nobody was told": (lambda one: replace(one, alerts=()), {"quota_alerts"}),
    "a lease that was settled by less": (lambda one: _used(one, amount=Decimal(51)), {"quota_leases"}),
    "a yes of the policy that nobody counted": (lambda one: _used(one, opened=True), {"quota_leases"}),
    "more used than leased while nobody decided": (lambda one: _stopped(one, 41), {"quota_bound"}),
    "what had to be seen and was not": (
        lambda one: replace(one, notes=replace(one.notes, seen={"a denial": 0})),
        {"quota_seen"},
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name: str) -> None:
    """By the check that is about it."""
    plant, red = PLANTED[name]
    assert red <= judged(plant(quotas()))


def test_every_check_of_quotas_has_been_seen_red() -> None:
    """By a fault above, or by the show that is planted below."""
    assert set(CHECKS) == {check for _, red in PLANTED.values() for check in red} | {"quota_shows"}


@pytest.mark.parametrize(("after", "is_red"), [(0, True), (3 * SECOND // 4, True), (SECOND, False)])
def test_what_waited_counts_from_when_it_was_granted(after: int, is_red: bool) -> None:
    """Where it lies in the log there is no room for it; there is from the release on, a second later."""
    evidence = quotas()
    asked, released = evidence.commands[3], evidence.commands[7]
    assert isinstance(released.command, Release)
    assert asked.at + SECOND == released.at
    assert (_granted(evidence, after).recount.accounts["acme"].overshoot > 0) == is_red


@pytest.mark.parametrize(("told", "overshoot"), [(Status.UNKNOWN_HOLD, 0), (Status.RELEASED, 20)])
def test_what_waits_is_granted_when_it_is_named_and_known(told: Status, overshoot: int) -> None:
    """Not when somebody is told that there is no such hold: then it was granted afterwards."""
    address: dict[str, Any] = {"caller": "c", "answer_to": 0}
    sixty = {"total_tokens": Decimal(60)}
    commands: list[Command] = [
        Reserve(command_id="0", subject=ACME, hold_id="a", amounts=sixty, **address),
        Reserve(command_id="1", subject=ACME, hold_id="b", amounts=sixty, **address),
        Release(command_id="2", root=ACME.root, hold_id="b", **address),
        Confirm(command_id="3", root=ACME.root, hold_id="a", actual={"total_tokens": Decimal(0)}, **address),
    ]
    # The second was granted ten seconds later, after the first was settled.
    said = ((Status.GRANTED, 900), (Status.GRANTED, 910), (told, 0), (Status.SETTLED, 0))
    answers = {
        str(at): Answer(command_id=str(at), caller="c", status=status, amounts=sixty, expires_at=BEGAN + until * SECOND)
        for at, (status, until) in enumerate(said)
    }
    logged = [Logged(0, at, BEGAN + at * SECOND, one) for at, one in enumerate(commands)]
    assert recounted(logged, answers, {"acme": Decimal(100)}).accounts["acme"].overshoot == overshoot


@pytest.mark.parametrize(("opened", "is_red"), [(0, True), (9, True), (10, False)])
def test_what_policy_let_pass_may_be_settled_beyond_the_limit(opened: int, is_red: bool) -> None:
    """To the last token."""
    evidence = _granted(quotas(), after=0)
    at = evidence.recount.accounts["acme"].peak_at
    uses = [Use("b", Decimal(opened), at, opened=True), Use("b", Decimal(99), at + 1, opened=True)]
    found = judged(_called(evidence, uses=uses, counters=None))
    assert ("quota_overshoot" in found) == is_red


def test_what_was_leased_may_be_used_without_the_service() -> None:
    """The bound is what all gates held when it was stopped, to the last token."""
    assert "quota_bound" not in judged(_stopped(quotas(), 40))


def test_a_show_along_the_way_is_held_against_its_place_in_the_log() -> None:
    """Not only the last one."""
    evidence = quotas()
    answer = evidence.answers["s-1"][0]
    standing = answer.standings[0].model_copy(update={"leased": Decimal(39)})
    assert judged(_answer(evidence, "s-1", standings=(standing,))) == {"quota_shows", "quota_answers"}


def test_a_journal_is_read_as_it_was_written(tmp_path: Path) -> None:
    """A half line at its end is none; a call without an end has none."""
    path = tmp_path / "calls.jsonl"
    journal = CallJournal(path, "acme")
    first, second = journal.asks("reserve", "h", 5), journal.asks("release", "h", 0)
    answer = quotas().answers["r-a"][0]
    journal.told(first, answer)
    journal.used("h", 3, opened=True)
    journal.close()
    path.write_bytes(path.read_bytes() + b'{"call": 2, "tim')
    found = read_calls(path)
    assert found.account == "acme"
    assert found.calls[first].answer == answer
    assert not found.calls[second].ended
    assert [(use.hold_id, use.amount, use.opened) for use in found.uses] == [("h", Decimal(3), True)]
    assert found.counters is None
