"""The quotas of a world: accounts with limits, services to kill, callers to watch, and the end of a run.

At the end every hold that somebody forgot is waited for until it expires, then closed by hand, some as used and some as
not, so that what `show` says afterwards has nothing left to explain it.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, Final

from chaos.process import Process
from chaos.quota.call_journal import answered
from chaos.quota.evidence import unclosed
from chaos.quota.notes import THRESHOLDS, Stop
from chaos.world import PARTITIONS, World
from taximeter.quota import QuotaClient, QuotaSettings, QuotaUnavailable, Subject
from taximeter.quota.asker import Asker
from taximeter_consumers.quota.plans import named_level
from taximeter_consumers.quota.plans.assignments import Assignment
from taximeter_consumers.quota.plans.plans import Limit, QuotaPlan
from taximeter_consumers.quota.plans.setting_rows import append
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.errors import Retryable
from taximeter_schemas.quota.answers import Answer, Standing, Status
from taximeter_schemas.quota.limits import OnOutage, Window

TOKENS: Final = "total_tokens"
_AGO: Final = datetime(2020, 1, 1, tzinfo=UTC)
_SERVICE: Final = {"TAXIMETER_QUOTA_SESSION_TIMEOUT_MS": "3000", "TAXIMETER_QUOTA_TICK_SECONDS": "0.5"}
_CALLER: Final = {"TAXIMETER_QUOTA_ANSWER_SECONDS": "3", "TAXIMETER_QUOTA_LEASE_SECONDS": "4"}
_PATIENCE_SECONDS: Final = 60.0
_ROUNDS: Final = 5


class Site:
    """Made by `open_site`."""

    def __init__(self, world: World, client: QuotaClient) -> None:
        self._world, self._client = world, client
        self._notes = world.quotas
        self._notes.partitions = PARTITIONS

    def account(self, name: str, tokens: int, on_outage: OnOutage = OnOutage.CLOSED) -> str:
        """An account with a hard limit of tokens a month, and a soft one of dollars. A service must run to know it."""
        named = named_level.account(name)
        plan = f"plan-{name}"
        words: dict[str, Any] = {"on_outage": on_outage, "thresholds": THRESHOLDS}
        hard = Limit(plan, "tokens", _AGO, TOKENS, Window.MONTH, Decimal(tokens), **words)
        soft = Limit(plan, "dollars", _AGO, "cost_usd", Window.MONTH, Decimal(10**9), hard=False)
        append(self._world.clickhouse, [hard, soft, QuotaPlan(plan, _AGO, plan), Assignment(named, _AGO, plan)])
        self._notes.limits[name] = Decimal(tokens)
        return name

    def await_known(self) -> None:
        """Waits until the service knows every account."""
        for name in self._notes.limits:
            self._world.await_condition(lambda name=name: self.tokens_of(name) is not None, f"the limit of {name}")  # type: ignore[misc]  # a bound default

    def start_service(self, instance: str = "", failpoint: str = "") -> Process:
        """`taximeter quota service`. With an instance id a restart takes its partitions back at once."""
        member = ("--instance", instance) if instance else ()
        options = ("quota", "service", "--group", f"{self._world.name}.quota", *member)
        process = self._world.start_program(
            "quota", "taximeter_infra", *options, **_SERVICE, TAXIMETER_FAILPOINT=failpoint
        )
        process.may_die = bool(failpoint)
        return process

    def start_reservers(self, account: str, *options: object, **settings: str) -> Process:
        """A process of many callers."""
        return self._start_caller("reservers", account, *options, **settings)

    def start_gates(self, account: str, *options: object, **settings: str) -> Process:
        """An executor with a gate."""
        return self._start_caller("gates", account, *options, **settings)

    def _start_caller(self, kind: str, account: str, *options: object, **settings: str) -> Process:
        journal = self._world.folder / f"{kind}{len(self._notes.callers) + 1}.jsonl"
        self._notes.callers.append(journal)
        given = ("--journal", journal, "--account", account, "--seed", self._world.input.seed, *options)
        return self._world.start_program(kind, f"chaos.quota.{kind}", *map(str, given), **{**_CALLER, **settings})

    def kill_caller(self, process: Process, journal: Path) -> None:
        """Kill -9 of an executor: what it holds is forgotten."""
        process.kill()
        self._notes.killed.add(journal.stem)
        self._world.injected.append(f"{journal.stem} killed")

    @property
    def answered(self) -> int:
        """How many calls and uses of all callers are over."""
        return sum(map(answered, self._notes.callers))

    def await_answered(self, more: int, seconds: float = _PATIENCE_SECONDS) -> None:
        """Waits until so many more are over, or the time is, whichever comes first: nobody may be able to answer."""
        goal = self.answered + more
        wait_until(lambda: self.answered >= goal, seconds)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Notes that nobody decides in this block; the block begins when it is so."""
        since = time.time_ns() // 1_000
        try:
            yield
        finally:
            self._notes.stops.append(Stop(since, time.time_ns() // 1_000))

    def show(self, account: str) -> Answer | None:
        """What the service says of an account; None where it does not answer."""
        try:
            answer = self._client.show(Subject(account_id=account))
        except QuotaUnavailable:
            return None
        return answer if answer.status is Status.SHOWN else None

    def tokens_of(self, account: str) -> Standing | None:
        """How its tokens stand."""
        answer = self.show(account)
        standings = () if answer is None else answer.standings
        return next((one for one in standings if one.meter == TOKENS), None)

    def reserve(self, account: str, amount: int) -> Status | None:
        """Asks for a hold that is released at once where it is granted. None: no answer."""
        subject = Subject(account_id=account)
        try:
            answer = self._client.reserve(subject, {TOKENS: amount})
            if answer.is_granted:
                self._client.release(answer, subject=subject)
        except QuotaUnavailable:
            return None
        return answer.status

    def finish(self, rng: Random, used: Callable[[str], int] | None = None) -> None:
        """Closes everything that is left, and remembers what `show` says then. `used`: what events say of an account,
        which the service must come to see first. Services end in order, the last one with a checkpoint of everything.

        Raises Retryable where holds do not expire or the service does not answer.
        """
        services = self._world.running("quota") or [self.start_service()]
        for account in self._notes.limits:
            if used is not None:
                self._await_used(account, used(account))
            self._close_all(account, rng, may_settle=used is None)
            final = self._await_shown(account)
            self._notes.shown[account] = final.model_dump(mode="json")
        # All at once; a second signal would end them without their last checkpoint.
        for service in services:
            service.signal(signal.SIGTERM)
        for service in services:
            service.await_end()
        last = self._world.start_program(
            "quota", "taximeter_infra", "quota", "service", "--group", f"{self._world.name}.quota",
            "--until-caught-up", **_SERVICE,
        )  # fmt: skip
        self._world.await_condition(lambda: not last.running, "the last quota service to catch up")

    def _await_used(self, account: str, used: int) -> None:
        # Not reached: the verdict says what is shown instead.
        wait_until(lambda: (one := self.tokens_of(account)) is not None and one.used == used, _PATIENCE_SECONDS)

    def _close_all(self, account: str, rng: Random, *, may_settle: bool) -> None:
        subject = Subject(account_id=account)
        for _ in range(_ROUNDS):
            left = unclosed(self._world.kafka, self._world.topics, account)
            if not left:
                return
            expires_at = max((one.expires_at for one in left.values() if one is not None), default=0) / 1e6
            if not wait_until(lambda over=expires_at: time.time() > over, _PATIENCE_SECONDS):  # type: ignore[misc]  # a bound default
                raise Retryable(f"holds of {account} last too long to wait for: {sorted(left)[:5]}")
            for hold_id, held in left.items():
                self._ask_until_told(
                    (lambda: self._client.confirm(hold_id, {TOKENS: held.given // 2}, subject=subject))  # noqa: B023 - called at once
                    if held is not None and may_settle and rng.random() < 0.5
                    else (lambda: self._client.release(hold_id, subject=subject))  # noqa: B023 - the same
                )
        raise Retryable(f"holds of {account} cannot be closed")

    def _ask_until_told(self, ask: Callable[[], Answer]) -> None:
        def told() -> bool:
            try:
                ask()
            except QuotaUnavailable:
                return False
            return True

        self._world.await_condition(told, "an answer of the quota service")

    def _await_shown(self, account: str) -> Answer:
        found: list[Answer] = []

        def told() -> bool:
            answer = self.show(account)
            if answer is not None:
                found.append(answer)
            return answer is not None

        self._world.await_condition(told, f"the service to show {account}")
        return found[-1]


@contextmanager
def open_site(world: World) -> Iterator[Site]:
    """The quotas of this world, with a client of the harness's own, which is closed with the block."""
    settings = QuotaSettings(answer_seconds=3.0)
    with QuotaClient(Asker(world.kafka, world.topics), settings) as client:
        yield Site(world, client)
