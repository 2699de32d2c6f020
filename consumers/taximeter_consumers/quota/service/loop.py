"""The loop of the quota service: poll, decide, reply, save. Always in this order, on one thread.

* State is a function of the log: a crash loses only what no checkpoint has, and that is decided again, alike.
* A decision waits for no disk, no transaction and no ClickHouse; only too many without a checkpoint make the loop wait.
* A rebalance takes partitions away: their last checkpoint is written first, then they are dropped.
* A zombie decides what the new owner decides; its checkpoints are fenced by the group, and then it drops all.
* A record that is no command is counted, logged without its content, and passed by.
* A stop writes the last checkpoint and leaves the group.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import structlog
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME

from taximeter_consumers import failpoints
from taximeter_consumers.kafka_errors import ClientEnded
from taximeter_consumers.quota.machine.effects import AskQuote, Load, Raise, Reply
from taximeter_consumers.quota.service.checkpoint import Checkpoint, Outcome, Part
from taximeter_consumers.quota.service.loads import Wanted
from taximeter_consumers.quota.service.overview import Overview
from taximeter_consumers.quota.truth.ahead import Ahead
from taximeter_schemas.errors import Fenced, Misconfigured, Poison, Retryable
from taximeter_schemas.quota.commands import decoded
from taximeter_schemas.quota.meters import ZERO

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Sequence

    from confluent_kafka import Message

    from taximeter_consumers.quota.machine.effects import Effect
    from taximeter_consumers.quota.service.counters import QuotaCounters
    from taximeter_consumers.quota.service.owner import Owner
    from taximeter_consumers.quota.service.parts import Parts
    from taximeter_consumers.quota.service.restore import Restored
    from taximeter_consumers.quota.service.settings import QuotaSettings
    from taximeter_schemas.errors import TaximeterError

_log = structlog.get_logger()
_POLL_SECONDS: Final = 0.02
_ASK_OTHERS_SECONDS: Final = 0.5
_PASS_SECONDS: Final = 1.0


class Loop:
    """One membership in the group, from subscribe to close."""

    def __init__(self, parts: Parts, settings: QuotaSettings, counters: QuotaCounters) -> None:
        self._parts = parts
        self._settings = settings
        self._counters = counters
        self._overview = Overview(parts.partitions)
        self._ahead = Ahead()
        self._in_flight: dict[int, Owner] = {}
        self._save_at = self._saving_since = self._pass_at = 0.0
        self._status_at = time.monotonic() + settings.status_seconds
        self._fenced_since: float | None = None
        self._ask_others_at = 0.0
        self._lost = 0

    def run(self, stop: threading.Event, *, until_caught_up: bool = False) -> None:
        """Runs until `stop` is set, or until all that lay in the log is decided and saved.

        Raises Retryable or Fenced (drop everything and open a new membership) or Misconfigured.
        """
        membership = self._parts.membership
        membership.subscribe(self._leave)
        try:
            while not stop.is_set() and not (until_caught_up and self._caught_up()):
                self._turn()
            self._finish()
        finally:
            self._count()
            self._parts.loads.overdue(())

    def _turn(self) -> None:
        parts, membership = self._parts, self._parts.membership
        for message in membership.poll(_POLL_SECONDS):
            error = message.error()
            if error is None:
                self._decide(message)
            else:
                membership.notice(message, error)
        parts.replies.serve()
        self._ask_again()
        parts.loads.overdue(membership.owners)
        self._start(parts.restorer.finished())
        self._collect(0.0)
        self._save(time.monotonic())
        self._wait_for_checkpoints()
        if parts.ticks.wants.is_set():
            parts.ticks.hand_over(self._overview.snapshot(membership.owners, self._ahead.by))
        if time.monotonic() >= self._status_at:
            self._tell()

    def _ask_again(self) -> None:
        """Facts that Kafka has lost may be those that somebody waits for: machines ask for them but once."""
        lost, self._lost = self._lost, self._parts.replies.facts_lost
        if self._lost != lost:
            for owner in self._parts.membership.owners.values():
                self._carry_out(owner, owner.machine.parked())

    def _start(self, taken: Sequence[Restored]) -> None:
        if not taken:
            return
        self._parts.membership.claim(taken, self._parts.checkpointer.transactional_id)
        failpoints.reached("quota.restored")
        for restored in taken:
            owner = self._parts.membership.start(restored)
            self._overview.begin(owner)
            self._carry_out(owner, owner.machine.parked())
            _log.info("partition taken over", partition=restored.number, offset=restored.offset)

    def _decide(self, message: Message) -> None:
        number, offset = message.partition(), message.offset()
        owner = self._parts.membership.owners.get(number if number is not None else -1)
        if owner is None or offset is None:
            return  # given away in a rebalance during this very poll
        kind, milliseconds = message.timestamp()
        if kind != TIMESTAMP_LOG_APPEND_TIME:
            raise Misconfigured(
                f"the records of {message.topic()} carry the clocks of those who sent them",
                mend=f"set message.timestamp.type=LogAppendTime on the topic {message.topic()}",
            )
        at_us = milliseconds * 1_000
        self._ahead.heard(at_us, time.time_ns() // 1_000)
        self._counters.commands += 1
        try:
            command = decoded(message.value() or b"")
        except Poison as poison:
            self._counters.poison += 1
            self._passed_by(poison, number, offset)
            self._carry_out(owner, owner.skip(at_us, offset))
            return
        self._counters.kinds[command.command] = self._counters.kinds.get(command.command, 0) + 1
        effects = owner.apply(command, at_us, offset)
        failpoints.reached("quota.after_apply")
        self._carry_out(owner, effects)

    def _passed_by(self, poison: Poison, partition: int | None, offset: int) -> None:
        """Says so, once a second at most: whoever writes to the wrong topic writes a lot."""
        if time.monotonic() >= self._pass_at:
            self._pass_at = time.monotonic() + _PASS_SECONDS
            where = {"partition": partition, "offset": offset, "passed_by": self._counters.poison}
            _log.warning("passed by", reason=poison.reason, error=str(poison), **where)

    def _carry_out(self, owner: Owner, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Reply):
                self._parts.replies.answer(effect.answer, effect.answer_to)
                failpoints.reached("quota.after_reply")
            elif isinstance(effect, Load):
                levels = frozenset(effect.subject.levels)
                unknown = levels.difference(owner.machine.levels(effect.root))
                self._parts.loads.want(Wanted(owner.number, effect.root, unknown or levels))
            elif isinstance(effect, AskQuote):
                self._parts.quoting.ask(effect.command)
            elif isinstance(effect, Raise):
                owner.tell(effect.alert)
                self._counters.alerts += 1

    def _save(self, now: float, *, at_once: bool = False) -> None:
        """Hands what changed to the checkpoints, unless one is under way."""
        checkpointer, owners = self._parts.checkpointer, self._parts.membership.owners
        if checkpointer.busy or (now < self._save_at and not at_once):
            return
        parts: dict[int, Part] = {}
        for number, owner in owners.items():
            part = owner.take()
            if part is not None:
                parts[number] = part
                self._overview.touched(number, part.records)
        if not parts:
            return
        self._saving_since, self._save_at = now, now + self._settings.checkpoint_seconds
        self._in_flight = {number: owners[number] for number in parts}
        checkpointer.submit(Checkpoint(parts, self._parts.membership.token()))

    def _collect(self, timeout_seconds: float) -> None:
        """Takes note of how the checkpoint under way ended. Raises Retryable or Fenced where all must be dropped."""
        outcome = self._parts.checkpointer.outcome(timeout_seconds)
        if outcome is None:
            return
        in_flight, self._in_flight = self._in_flight, {}
        # Whoever lost a partition meanwhile, even if he has it again, has nothing to do with it.
        still = {
            number: owner for number, owner in in_flight.items() if self._parts.membership.owners.get(number) is owner
        }
        if outcome.failure is None:
            self._fenced_since = None
            self._counters.checkpoints += 1
            self._counters.checkpoint_seconds += time.monotonic() - self._saving_since
            for number, part in outcome.checkpoint.parts.items():
                self._counters.records_written += len(part.records)
                if number in still:
                    still[number].saved(part)
            return
        failure = outcome.failure
        if not outcome.rolled_back or not isinstance(failure, Retryable | Fenced):
            raise failure
        self._rolled_back(outcome, failure, still)

    def _rolled_back(self, outcome: Outcome, failure: TaximeterError, still: dict[int, Owner]) -> None:
        self._counters.aborted += 1
        for number, owner in still.items():
            owner.give_back(outcome.checkpoint.parts[number])
        if isinstance(failure, Fenced):
            # In a rebalance the group may be a generation ahead for a moment. Longer, and it went on without us.
            self._fenced_since = self._fenced_since or time.monotonic()
            for_long = time.monotonic() - self._fenced_since > self._settings.session_timeout_ms / 1000
            if for_long or isinstance(failure, ClientEnded):
                raise failure
        _log.warning("checkpoint rolled back, trying again", error=str(failure))

    def _wait_for_checkpoints(self) -> None:
        """Reads no more while too many decisions have no checkpoint, until half of them have."""
        unsaved = sum(owner.unsaved for owner in self._parts.membership.owners.values())
        waiting = self._parts.membership.held
        if not waiting and unsaved >= self._settings.backlog:
            self._counters.waits += 1
            self._parts.membership.hold(wait=True)
        elif waiting and unsaved <= self._settings.backlog // 2:
            self._parts.membership.hold(wait=False)

    def _leave(self, numbers: Sequence[int]) -> None:
        """These partitions are about to be given back: what was decided there goes into a last checkpoint."""
        try:
            self._finish()
        finally:
            self._overview.forget(numbers)

    def _finish(self) -> None:
        """Saves all that was decided, within the stop's patience. What is not saved is decided again by the next."""
        deadline = time.monotonic() + self._settings.stop_timeout_seconds
        try:
            while time.monotonic() < deadline:
                self._save(time.monotonic(), at_once=True)
                if not self._parts.checkpointer.busy:
                    return
                self._collect(_POLL_SECONDS)
        except (Fenced, Retryable) as error:
            _log.warning("last checkpoint not taken", error=str(error))

    def _caught_up(self) -> bool:
        """Whether all that lies in the topic is decided and saved, by this service or by the others of its group."""
        parts, owners = self._parts, self._parts.membership.owners
        if not parts.membership.rebalances or parts.restorer.numbers or parts.checkpointer.busy or parts.loads.waiting:
            return False
        if not parts.ticks.done or not all(owner.at_end and not owner.unsaved for owner in owners.values()):
            return False
        now = time.monotonic()
        if now < self._ask_others_at:
            return False
        self._ask_others_at = now + _ASK_OTHERS_SECONDS
        return not parts.membership.others_behind()

    def _tell(self) -> None:
        self._count()
        self._status_at = time.monotonic() + self._settings.status_seconds
        told = self._counters
        _log.info(
            "quotas",
            commands=told.commands,
            replies=dict(told.replies),
            partitions=told.partitions,
            lag=told.lag,
            unsaved=told.unsaved,
            parked=told.parked,
            holds=told.holds,
            leases=told.leases,
            leased={meter: str(amount) for meter, amount in told.leased.items()},
            checkpoints=told.checkpoints,
            facts_age_seconds=told.facts_age_seconds,
            complete_age_seconds=told.complete_age_seconds,
        )

    def _count(self) -> None:
        """How things stand now."""
        told, parts = self._counters, self._parts
        owners = parts.membership.owners.values()
        told.rebalances = parts.membership.rebalances
        told.missing = parts.membership.missing
        told.partitions = len(owners)
        told.lag = parts.membership.lag()
        told.unsaved = sum(owner.unsaved for owner in owners)
        told.parked = sum(len(owner.machine.parked()) for owner in owners)
        told.holds, told.leases, told.leased = 0, 0, {}
        for outstanding in (owner.machine.outstanding() for owner in owners):
            told.holds += outstanding.holds
            told.leases += outstanding.leases
            for meter, amount in outstanding.leased.items():
                told.leased[meter] = told.leased.get(meter, ZERO) + amount
        complete = parts.ticks.complete_until
        told.complete_age_seconds = round(time.time() - complete / 1e6, 3) if complete else None
