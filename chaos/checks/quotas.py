"""Quotas: what was granted, what is left, and what callers were told, against a count of the log by other means."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from chaos.checks.rollups import expected_rollup
from chaos.evidence import Evidence
from chaos.quota.call_journal import Call
from chaos.quota.evidence import QuotaEvidence
from chaos.quota.notes import THRESHOLDS
from chaos.quota.recount import TOKENS, Account
from chaos.truth import expected_rows
from taximeter_schemas.quota.answers import Answer, Standing, Status

_NONE: Final = Decimal(0)
_END: Final = 2**63


def no_overshoot(quotas: QuotaEvidence, _: Evidence) -> Iterable[str]:
    """At no moment of the log more was granted, open and settled, than there is, and what limits that fail open let
    pass until then while nobody decided: a gate settles that with its lease."""
    for name, account in quotas.recount.accounts.items():
        opened = _opened(quotas, name, until=account.peak_at)
        if account.overshoot > opened:
            let_pass = f", and {opened} let through by policy," if opened else ""
            yield f"{name} was granted {account.peak} of {account.limit}{let_pass} at {account.peak_at}"


def every_caller_was_told(quotas: QuotaEvidence, _: Evidence) -> Iterable[str]:
    """Each call ended with an answer or a clear time-out, and the answer is the log's. Only of killed callers may calls
    be open."""
    for one in quotas.callers:
        killed = one.name in quotas.notes.killed
        for number, call in one.calls.items():
            if not call.ended and not killed:
                yield f"{one.name}: call {number} ({call.command} {call.hold_id}) never ended"
            if call.failure:
                yield f"{one.name}: call {number} ({call.command}) raised {call.failure}"
            if call.answer is not None and call.answer not in quotas.answers.get(call.answer.command_id, ()):
                yield f"{one.name}: call {number} was told what the log does not say"
        if one.counters is None and not killed:
            yield f"{one.name} did not end in order"


def answers_are_equal(quotas: QuotaEvidence, _: Evidence) -> Iterable[str]:
    """Whatever was answered twice was answered alike, and as an undisturbed service answers."""
    replay = quotas.replay.answers
    for name, given in quotas.answers.items():
        if any(answer != given[0] for answer in given[1:]):
            yield f"command {name} was answered in {len(given)} ways: {given[0]} and {given[1]}"
        elif name in replay and given[0] != replay[name]:
            yield f"command {name} was answered {given[0]} and is answered {replay[name]}"


def state_is_the_logs(quotas: QuotaEvidence, _: Evidence) -> Iterable[str]:
    """The records of state are those of a machine that read the log without any crash."""
    if not quotas.state:
        yield "there is no state"
    for number, kept in quotas.state.items():
        expected = quotas.replay.records.get(number, {})
        for key in sorted({*kept, *expected}):
            if kept.get(key) != expected.get(key):
                yield f"partition {number} has {key} = {kept.get(key)!r} and not {expected.get(key)!r}"


def nothing_leaks(quotas: QuotaEvidence, evidence: Evidence) -> Iterable[str]:
    """When all is closed, `show` has nothing held, and as used what was confirmed (metered work: what events say)."""
    used = used_by_account(evidence) if quotas.notes.metered else {}
    for name, account in quotas.recount.accounts.items():
        answer = quotas.notes.shown.get(name)
        if answer is None:
            yield f"{name} was never shown in the end"
            continue
        standing = standing_of(Answer.model_validate(answer))
        if standing is None:
            yield f"{name} has no limit in the end: {answer}"
            continue
        expected = used.get(name, {}).get(TOKENS, _NONE) if quotas.notes.metered else account.sum_of("settled")
        if standing.used != expected:
            yield f"{name}: {standing.used} are shown as used, and {expected} were"
        if standing.held or account.sum_of("open", "expired"):
            left = [hold for hold, one in account.holds.items() if one.state in ("open", "expired")]
            yield f"{name}: {standing.held} are held in the end; not closed: {left[:5]}"


def every_show_is_right(quotas: QuotaEvidence, evidence: Evidence) -> Iterable[str]:
    """Every `show` along the way. Without events: what was confirmed and held at its place of the log. With events:
    used and held together are no less than what work under holds had used by then."""
    uses = _uses_under_holds(quotas, evidence) if quotas.notes.metered else {}
    for shown in quotas.recount.shows:
        standing = standing_of(shown.answer)
        if standing is None:
            continue
        where = f"{shown.account} at {shown.at}"
        if quotas.notes.metered:
            done = sum((amount for at, amount in uses.get(shown.account, ()) if at < shown.at), _NONE)
            if standing.used + standing.held < done:
                yield f"{where}: {standing.used} used and {standing.held} held are shown, but {done} were used"
        elif (standing.used, standing.held, standing.leased) != (shown.used, shown.held, shown.leased):
            told = f"{standing.used} used, {standing.held} held, {standing.leased} leased are shown"
            yield f"{where}: {told}; it is {shown.used}, {shown.held}, {shown.leased}"


def calls_took_effect(quotas: QuotaEvidence, _: Evidence) -> Iterable[str]:
    """What a caller was told of a hold is what became of it: settled by what was said, released, or never made."""
    for one in quotas.callers:
        account = quotas.recount.accounts.get(one.account)
        if account is None:
            continue
        for call in one.calls.values():
            told = _effect(account, call)
            if told:
                yield f"{one.name}: {told}"


def uses_are_settled(quotas: QuotaEvidence, _: Evidence) -> Iterable[str]:
    """A gate that ended in order settled each lease by what its tickets used, and counted what policy let by."""
    for one in quotas.callers:
        account, by_lease = quotas.recount.accounts.get(one.account), defaultdict[str, Decimal](Decimal)
        for use in one.uses:
            by_lease[use.hold_id] += use.amount if use.hold_id else 0
        if account is None or one.counters is None or not one.uses:
            continue
        for hold_id, amount in by_lease.items():
            hold = account.holds.get(hold_id)
            if hold_id and (hold is None or hold.state != "settled" or hold.used != amount):
                yield f"{one.name}: {amount} of lease {hold_id} were used, and it is {hold}"
        opened = sum(use.opened for use in one.uses)
        # Some tickets of the policy are cancelled, which is no use.
        if opened > one.counters["opened_by_outage"]:
            yield f"{one.name}: {opened} uses were let through by policy, {one.counters['opened_by_outage']} counted"


def within_the_bound(quotas: QuotaEvidence, _: Evidence) -> Iterable[str]:
    """While nobody decided, no more was used than what was leased when that began, and what fail-open limits let pass;
    over all, no more than the limit and that."""
    for name, account in quotas.recount.accounts.items():
        uses = [use for one in quotas.callers if one.account == name for use in one.uses]
        opened = _opened(quotas, name, until=_END)
        for stop in quotas.notes.stops:
            bound = leased_at(quotas, name, stop.since)
            during = sum((u.amount for u in uses if stop.since < u.at < stop.until and not u.opened), _NONE)
            if during > bound:
                yield f"{name}: {during} were used while the service was stopped, and {bound} were leased"
        total = sum((use.amount for use in uses), _NONE)
        if total > account.limit + opened:
            yield f"{name}: {total} were used of {account.limit}, and {opened} let through by policy"


def alerts_once(quotas: QuotaEvidence, _: Evidence) -> Iterable[str]:
    """Each crossing of a threshold is told once: those that the log has, no other, and all that show in the end."""
    told = Counter(alert.alert_id for alert in quotas.alerts)
    expected = Counter(alert.alert_id for alert in quotas.replay.alerts)
    yield from (f"alert {name} was told {count} times" for name, count in told.items() if count > 1)
    yield from (f"alert {name} was never told" for name in expected if name not in told)
    yield from (f"alert {name} is none" for name in told if name not in expected)
    for name, answer in quotas.notes.shown.items():
        standing = standing_of(Answer.model_validate(answer))
        crossed = [] if standing is None else [one for one in THRESHOLDS if standing.percent >= one]
        found = {alert.threshold for alert in quotas.alerts if standing and alert.standing.level == standing.level}
        yield from (f"{name} is above {one} percent, and nobody was told" for one in crossed if one not in found)


def what_had_to_be_seen(quotas: QuotaEvidence, _: Evidence) -> Iterable[str]:
    """The fault brought about what it is about."""
    yield from (f"nobody saw {what}" for what, times in quotas.notes.seen.items() if not times)


def standing_of(answer: Answer) -> Standing | None:
    """How the account's tokens of this month stand; None where the answer does not say."""
    if answer.status is not Status.SHOWN:
        return None
    return next((one for one in answer.standings if one.meter == TOKENS and one.level.startswith("account/")), None)


def _opened(quotas: QuotaEvidence, account: str, until: int) -> Decimal:
    """What limits that fail open let pass of an account."""
    uses = [use for one in quotas.callers if one.account == account for use in one.uses]
    return sum((use.amount for use in uses if use.opened and use.at <= until), _NONE)


def used_by_account(evidence: Evidence) -> Mapping[str, Mapping[str, Any]]:
    """What accounts used, by the journals of the events."""
    found: dict[str, dict[str, Any]] = {}
    for key, row in expected_rollup("quota_usage", evidence).items():
        sums = found.setdefault(key[0], {})
        for meter in (TOKENS, "executions", "cost_usd"):
            sums[meter] = sums.get(meter, 0) + row[meter]
    return found


def leased_at(quotas: QuotaEvidence, account: str, at: int) -> Decimal:
    """What all gates together held of an account then."""
    return next((amount for since, amount in reversed(quotas.recount.leased[account]) if since <= at), _NONE)


def _uses_under_holds(quotas: QuotaEvidence, evidence: Evidence) -> Mapping[str, list[tuple[int, Decimal]]]:
    found: dict[str, list[tuple[int, Decimal]]] = {}
    for row in expected_rows(evidence.entries).values():
        account = quotas.recount.accounts.get(row["account_id"])
        if account is not None and row["transaction_id"] in account.holds:
            found.setdefault(row["account_id"], []).append((row["occurred_at"], Decimal(row[TOKENS])))
    return found


def _effect(account: Account, call: Call) -> str:
    if call.answer is None:
        return ""
    hold, status = account.holds.get(call.hold_id), call.answer.status
    if status in (Status.SETTLED, Status.RELEASED) and hold is None:
        return f"{call.hold_id} is {status} and was never granted"
    settled = hold is not None and hold.state == "settled" and hold.used == call.amount
    if call.command == "confirm" and status is Status.SETTLED and not settled:
        return f"{call.hold_id} was confirmed with {call.amount}, and it is {hold}"
    if call.command == "reserve" and status is Status.DENIED and hold is not None:
        return f"{call.hold_id} was denied, and it is {hold}"
    if call.command == "reserve" and call.answer.is_granted and (hold is None or hold.given < hold.counts):
        return f"{call.hold_id} was granted, and it is {hold}"
    return ""


CHECKS: Final[Mapping[str, Callable[[QuotaEvidence, Evidence], Iterable[str]]]] = {
    "quota_overshoot": no_overshoot,
    "quota_callers": every_caller_was_told,
    "quota_effects": calls_took_effect,
    "quota_answers": answers_are_equal,
    "quota_state": state_is_the_logs,
    "quota_leaks": nothing_leaks,
    "quota_shows": every_show_is_right,
    "quota_leases": uses_are_settled,
    "quota_bound": within_the_bound,
    "quota_alerts": alerts_once,
    "quota_seen": what_had_to_be_seen,
}


def quota_check(check: Callable[[QuotaEvidence, Evidence], Iterable[str]]) -> Callable[[Evidence], list[str]]:
    """As a check of the verdict: nothing to say where no quota was asked."""
    return lambda evidence: [] if evidence.quotas is None else list(check(evidence.quotas, evidence))
