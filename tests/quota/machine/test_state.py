"""The state: what is written of it, when it is forgotten, and what a restored machine knows."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from tests.quota.machine.asking import (
    ACCOUNT,
    ACME,
    ADA,
    ROOT,
    START,
    USER,
    Log,
    confirm,
    knowing,
    level,
    limit,
    merged,
    release,
    reserve,
    show,
)  # fmt: skip

from taximeter_consumers.quota.machine.holds import LINGER, REMEMBER
from taximeter_consumers.quota.machine.levels import IDLE, IDLE_WITH_RULES
from taximeter_consumers.quota.machine.machine import Machine
from taximeter_consumers.quota.machine.records import Meta, key_parts, key_text, meta_of
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.quota.answers import Status
from taximeter_schemas.quota.commands import Reserve
from taximeter_schemas.quota.limits import MINUTE, Window
from taximeter_schemas.quota.subject import Subject

RUN = Subject(account_id="acme", run_id="r")


def test_only_what_changed_is_written() -> None:
    """And how far the log is applied; nothing at all if nothing was."""
    log = knowing(limit(10))
    log.ask(reserve("a", tokens=1))
    assert set(log.machine.take_dirty()) == {f"level/{ROOT}|{ACCOUNT}", f"hold/{ROOT}|a", "partition"}
    assert log.machine.take_dirty() == {}
    log.ask(reserve("b", tokens=1))
    assert set(log.machine.take_dirty()) == {f"hold/{ROOT}|b", "partition"}
    log.ask(reserve("c", tokens=100))
    assert set(log.machine.take_dirty()) == {"partition"}


def test_records_say_how_far_the_log_is_applied() -> None:
    """Offset, time of the log and number of partitions."""
    machine = Machine(0, 1)
    machine.skip(START, 41)
    taken = machine.take_dirty()["partition"]
    assert taken is not None
    assert meta_of(taken) == Meta(next_offset=42, now=START, partitions=1, floor=-1)


def test_a_record_that_was_applied_changes_nothing() -> None:
    """However often the log gives it."""
    log = knowing(limit(10))
    log.ask(reserve("a", tokens=1))
    log.machine.take_dirty()
    assert log.machine.apply(reserve("b", tokens=1), log.at, 1) == []
    assert log.machine.skip(log.at, 1) == []
    assert log.machine.take_dirty() == {}


def test_time_never_goes_back() -> None:
    """A record with an earlier time has the time of the one before."""
    log = knowing(limit(10))
    first = log.ask(reserve("a", tokens=1, ttl_seconds=60))
    assert log.ask(reserve("b", tokens=1, ttl_seconds=60), after=-5_000_000).expires_at == first.expires_at


def test_state_of_another_number_of_partitions_is_refused() -> None:
    """Its roots would be decided elsewhere. The message names the mend."""
    machine = Machine(0, 12)
    machine.skip(START, 0)
    records = merged(machine.take_dirty())
    with pytest.raises(Misconfigured, match="set the partitions of the quota topics back to 12"):
        Machine.restored(0, records, 16)
    assert Machine.restored(0, records, 12).next_offset == 1


@pytest.mark.parametrize("records", [{"hold/account/a|h": b"{}"}, {"partition": b'{"other":1}'}, {"partition": b"-"}])
def test_state_that_cannot_be_read_is_refused(records: dict[str, bytes]) -> None:
    """Rather than beginning anew with nothing held."""
    with pytest.raises(Misconfigured):
        Machine.restored(0, records)


def test_no_records_are_a_new_machine() -> None:
    """At the beginning of the log."""
    assert Machine.restored(3, {}).next_offset == 0


def test_keys_are_read_back_whatever_a_hold_is_called() -> None:
    """Hold ids are any text; names in roots are percent-encoded."""
    root = Subject(account_id="a|b/c").root
    for hold_id in ("x", "x|y", "/|/"):
        assert key_parts(key_text(("hold", root, hold_id))) == ("hold", root, hold_id)


def test_one_root_never_touches_another() -> None:
    """Neither its records nor its answers."""
    log = knowing(limit(10))
    log.ask(reserve("h", tokens=10))
    log.machine.take_dirty()
    other = Subject(account_id="other")
    log.apply(reserve("h", other, 10, parent="h"))
    assert log.effects[0].answer.status is Status.REFUSED  # type: ignore[union-attr]  # it is a reply
    log.apply(reserve("h", other, 10))
    assert {key.partition("|")[0] for key in log.machine.take_dirty()} == {"partition", "parked/account/other"}


def test_what_is_over_is_remembered_a_while_and_then_deleted() -> None:
    """Repeated commands hear the same so long; inner holds go with the outer one."""
    log = knowing(limit(10))
    log.ask(reserve("h", tokens=5))
    log.ask(reserve("in", tokens=5, parent="h"))
    log.ask(release("h"))
    log.machine.take_dirty()
    assert log.ask(release("h"), after=REMEMBER - MINUTE).status is Status.RELEASED
    assert log.ask(release("h"), after=2 * MINUTE).status is Status.UNKNOWN_HOLD
    taken = log.machine.take_dirty()
    assert taken[f"hold/{ROOT}|h"] is None
    assert taken[f"hold/{ROOT}|in"] is None


def test_what_still_claims_is_never_forgotten() -> None:
    """However long nothing is complete."""
    log = knowing(limit(10))
    log.ask(reserve("h", tokens=5))
    log.ask(confirm("h", 5))
    log.ask(show(), after=3 * REMEMBER)
    assert log.machine.open_transactions(ROOT) == ("h",)
    log.learn({ACCOUNT: level(limit(10))}, complete_until=START + LINGER + MINUTE)
    log.ask(show(), after=MINUTE)
    assert log.machine.open_transactions(ROOT) == ()
    assert log.ask(release("h")).status is Status.UNKNOWN_HOLD


def test_what_nobody_limits_is_done_after_a_while_without_facts() -> None:
    """None may ever come of it."""
    log = knowing(limit(10, meter="http_requests"))
    log.ask(reserve("h", tokens=5))
    log.ask(confirm("h", 5))
    assert log.machine.open_transactions(ROOT) == ("h",)
    log.ask(show(), after=LINGER + MINUTE)
    assert log.machine.open_transactions(ROOT) == ()


def test_levels_that_nobody_names_are_dropped() -> None:
    """Without rules, and runs, after an hour; others when no facts have come for long. The root goes with the last."""
    log = Log()
    run = "run/acme/r"
    log.learn({ACCOUNT: level(), USER: level(limit(10)), run: level(limit(5, Window.RUN))})
    log.ask(reserve("h", ADA, 1, ttl_seconds=1))
    assert log.machine.levels(ROOT) == (ACCOUNT, run, USER)
    log.machine.skip(log.at + IDLE + MINUTE, log.machine.next_offset)
    assert log.machine.levels(ROOT) == (ACCOUNT, USER), "a hold lies at them"
    log.at = log.machine.now
    log.ask(confirm("h", 0))
    log.learn({USER: level(limit(10))}, after=2 * MINUTE, complete_until=log.at + 2 * LINGER)
    log.machine.skip(log.at + 30 * MINUTE, log.machine.next_offset)
    log.machine.skip(log.at + 100 * MINUTE, log.machine.next_offset)
    assert log.machine.levels(ROOT) == (USER,)
    log.machine.take_dirty()
    log.machine.skip(log.at + IDLE_WITH_RULES + 100 * MINUTE, log.machine.next_offset)
    assert log.machine.roots() == ()
    assert log.machine.take_dirty()[f"level/{ROOT}|{USER}"] is None


def test_old_facts_do_not_bring_a_dropped_level_back() -> None:
    """They may lack the use of holds that it has forgotten."""
    log = knowing()
    stale = log.at
    log.ask(reserve("h", tokens=1))
    log.ask(release("h"))
    log.learn({ACCOUNT: level()}, after=MINUTE)
    for _ in range(3):
        log.machine.skip(log.machine.now + IDLE, log.machine.next_offset)
    assert log.machine.roots() == ()
    log = Log(Machine.restored(0, merged(log.machine.take_dirty())))
    log.at = log.machine.now
    assert log.apply(reserve("h2", tokens=1)) == []
    assert log.learn({ACCOUNT: level()}, as_of=stale) == []
    assert len(log.effects) == 1, "they are asked for anew"
    assert [one.status for one in log.learn({ACCOUNT: level()})] == [Status.GRANTED]


def test_a_restored_machine_is_the_same_whatever_the_order_of_the_records() -> None:
    """Its holds are shown in the same order, and it denies the same."""
    log = knowing(limit(20))
    for name in ("z", "a", "m"):
        log.ask(reserve(name, tokens=5))
        log.ask(reserve(f"{name}-in", tokens=2, parent=name))
    log.ask(confirm("m-in", 1))
    records = merged(log.machine.take_dirty())
    for keys in (sorted(records), sorted(records, reverse=True)):
        again = Log(Machine.restored(0, {key: records[key] for key in keys}))
        again.at = log.at
        assert [one.hold_id for one in again.ask(show()).holds] == ["z", "z-in", "a", "a-in", "m", "m-in"]
        assert again.ask(reserve("b", tokens=6)).status is Status.DENIED
        assert again.ask(reserve("c", tokens=5, parent="m")).status is Status.DENIED
        assert again.ask(reserve("d", tokens=4, parent="m")).status is Status.GRANTED


def test_records_are_json_with_decimals_as_text() -> None:
    """So that any tool reads them, and no digit is lost."""
    log = knowing(limit(10))
    log.ask(reserve("h", tokens=5))
    body = log.machine.take_dirty()[f"hold/{ROOT}|h"]
    assert body is not None
    read = json.loads(body)
    assert (read["amounts"], read["state"], read["parent"]) == ({"total_tokens": "5"}, "open", None)


@pytest.mark.parametrize("parent", [None, "h0"])
def test_a_decision_costs_the_same_however_many_holds_there_are(parent: str | None) -> None:
    """It looks at none of them: the very same number of calls with three holds and with a thousand."""

    def calls_of(holds: int) -> int:
        log = Log()
        log.learn({key: level(limit(10**9), limit(10**9, Window.MINUTE)) for key in (ACCOUNT, USER)})
        for number in range(holds):
            log.ask(reserve(f"h{number}", ADA, 5000, ttl_seconds=3600 - number, parent=None if number == 0 else parent))
        return _calls(log, reserve("last", ADA, 0, parent=parent)) + _calls(log, confirm("last", 3))

    assert calls_of(3) == calls_of(1000)


def _calls(log: Log, command: Any) -> int:
    """Python functions that are called while a command is applied."""
    calls = 0

    def count(frame: Any, event: str, arg: Any) -> None:
        nonlocal calls
        calls += event == "call"

    assert isinstance(command, Reserve) or command.hold_id
    before = sys.getprofile()
    sys.setprofile(count)
    try:
        log.machine.apply(command, log.at, log.machine.next_offset)
    finally:
        sys.setprofile(before)
    return calls


def test_a_subject_is_known_by_its_levels() -> None:
    """What the fact finder asks about: levels and transactions of a root."""
    log = Log()
    log.learn({ACCOUNT: level(), "run/acme/r": level()})
    log.ask(reserve("h", RUN, 1))
    log.ask(reserve("in", ACME, 1, parent="h"))
    assert log.machine.levels(ROOT) == (ACCOUNT, "run/acme/r")
    assert log.machine.open_transactions(ROOT) == ("h", "in")
    assert log.machine.open_transactions("account/none") == () == log.machine.levels("account/none")
