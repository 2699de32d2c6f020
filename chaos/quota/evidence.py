"""What is left of a run of quotas: every command, answer, alert and record of state, and the journals of who asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

from chaos.quota.call_journal import Called, read_calls
from chaos.quota.notes import QuotaNotes
from chaos.quota.recount import Held, Recount, recounted
from chaos.quota.replay import Replay, replayed
from chaos.topic_log import read_topic
from taximeter_schemas.errors import Poison
from taximeter_schemas.quota.answers import Alert, Answer, alert_of, answer_of
from taximeter_schemas.quota.commands import Command, Confirm, Release, Reserve, decoded
from taximeter_schemas.settings import KafkaSettings, TopicSettings


@dataclass(frozen=True)
class Logged:
    """A command where it lies in the log, since `at` (Unix microseconds)."""

    partition: int
    offset: int
    at: int
    command: Command


@dataclass(frozen=True)
class QuotaEvidence:
    """`state` by partition, as a compaction would leave it."""

    notes: QuotaNotes
    commands: Sequence[Logged] = ()
    answers: Mapping[str, Sequence[Answer]] = field(default_factory=dict)
    alerts: Sequence[Alert] = ()
    state: Mapping[int, Mapping[str, bytes]] = field(default_factory=dict)
    callers: Sequence[Called] = ()

    @cached_property
    def replay(self) -> Replay:
        """The log decided once more, from its beginning, by one machine for each partition."""
        return replayed(self.commands, self.state, self.notes.partitions)

    @cached_property
    def recount(self) -> Recount:
        """The log counted by the answers alone, by code that shares nothing with the service's."""
        first = {name: given[0] for name, given in self.answers.items()}
        return recounted(self.commands, {**self.replay.answers, **first}, self.notes.limits)

    @property
    def unanswered(self) -> int:
        """Commands whose caller got no answer because the service died between its checkpoint and the broker."""
        return sum(name not in self.answers for name in self.replay.answers)


def counted(quotas: QuotaEvidence) -> dict[str, Any]:
    """Numbers for the report."""
    calls = [call for one in quotas.callers for call in one.calls.values()]
    uses = [use for one in quotas.callers for use in one.uses]
    accounts = quotas.recount.accounts.values()
    holds = [hold for account in accounts for hold in account.holds.values()]
    given = Counter(answer.status.value for answers in quotas.answers.values() for answer in answers[:1])
    return {
        "quota_commands": len(quotas.commands),
        "quota_answers": dict(given),
        "quota_answered_again": sum(len(answers) - 1 for answers in quotas.answers.values()),
        "quota_unanswered": quotas.unanswered,
        "quota_calls": len(calls),
        "quota_timed_out": sum(call.timed_out for call in calls),
        "quota_holds": dict(Counter(hold.state for hold in holds)),
        "quota_most_granted": [f"{account.peak} of {account.limit}" for account in accounts],
        "quota_overshoot": str(max((account.overshoot for account in accounts), default=0)),
        "quota_uses": len(uses),
        "quota_uses_without_service": sum(
            stop.since < use.at < stop.until for use in uses for stop in quotas.notes.stops
        ),
        "quota_uses_by_policy": sum(use.opened for use in uses),
        "quota_shows": len(quotas.recount.shows),
        "quota_alerts": len(quotas.alerts),
    }


def unclosed(kafka: KafkaSettings, topics: TopicSettings, account: str) -> Mapping[str, Held | None]:
    """Holds of an account that nobody has closed; None: nobody was told whether it was granted. Raises Retryable."""
    commands, answers = _commands(kafka, topics), _answers(kafka, topics)
    first = {name: given[0] for name, given in answers.items()}
    holds = recounted(commands, first, {account: Decimal(0)}).accounts[account].holds
    found: dict[str, Held | None] = {name: one for name, one in holds.items() if one.state in ("open", "expired")}
    closed = set(holds)
    for logged in commands:
        one = logged.command
        if isinstance(one, Confirm | Release) and one.command_id in answers:
            closed.add(one.hold_id)
    for logged in commands:
        one = logged.command
        if isinstance(one, Reserve) and one.subject.account_id == account and one.command_id not in answers:
            found |= {} if one.hold_id in closed else {one.hold_id: None}
    return found


def gather_quotas(kafka: KafkaSettings, topics: TopicSettings, notes: QuotaNotes) -> QuotaEvidence:
    """Reads topics and journals. Raises Retryable when the broker is away."""
    state: dict[int, dict[str, bytes]] = {}
    for record in read_topic(kafka, topics.quota_state):
        kept = state.setdefault(record.partition, {})
        if record.value is None:
            kept.pop(record.key, None)
        else:
            kept[record.key] = record.value
    alerts = [alert_of(record.value or b"") for record in read_topic(kafka, topics.alerts)]
    callers = [read_calls(path) for path in notes.callers]
    return QuotaEvidence(notes, _commands(kafka, topics), _answers(kafka, topics), alerts, state, callers)


def _commands(kafka: KafkaSettings, topics: TopicSettings) -> list[Logged]:
    commands: list[Logged] = []
    for record in read_topic(kafka, topics.quota_commands):
        with suppress(Poison):
            found = decoded(record.value or b"")
            commands.append(Logged(record.partition, record.offset, record.arrived * 1_000, found))
    return commands


def _answers(kafka: KafkaSettings, topics: TopicSettings) -> dict[str, list[Answer]]:
    answers: dict[str, list[Answer]] = {}
    for record in read_topic(kafka, topics.quota_answers):
        answer = answer_of(record.value or b"")
        answers.setdefault(answer.command_id, []).append(answer)
    return answers
