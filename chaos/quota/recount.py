"""The log of commands counted by what callers were answered: who held how much at every moment of it. Pure.

It shares no line with the service. A hold that was granted counts as what was given; settled, as what was used;
released, as nothing; expired, as what was given, until somebody closes it after all.

A reservation may wait for facts in the service; then it is granted later than where it lies in the log. When, its
answer tells: as long before its expiry as was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from taximeter_schemas.quota.answers import Answer, Status
from taximeter_schemas.quota.commands import Asked, Confirm, Extend, Facts, Quote, Release, Reserve, Show

if TYPE_CHECKING:
    from chaos.quota.evidence import Logged

TOKENS: Final = "total_tokens"
_NONE: Final = Decimal(0)
_END: Final = 2**63


@dataclass
class Held:
    """A hold of an account."""

    given: Decimal
    kind: str
    expires_at: int
    state: str = "open"
    used: Decimal = _NONE

    @property
    def counts(self) -> Decimal:
        """For so much."""
        return {"settled": self.used, "released": _NONE}.get(self.state, self.given)


@dataclass
class Account:
    """The holds of an account, and the most that they ever came to."""

    limit: Decimal
    holds: dict[str, Held] = field(default_factory=dict)
    granted: Decimal = _NONE
    leased: Decimal = _NONE
    peak: Decimal = _NONE
    peak_at: int = 0
    expiries: list[tuple[int, str]] = field(default_factory=list)
    waiting: dict[str, tuple[int, Held]] = field(default_factory=dict)
    leases: list[tuple[int, Decimal]] = field(default_factory=list)

    @property
    def overshoot(self) -> Decimal:
        """By how much more than the limit was granted at the worst moment."""
        return max(_NONE, self.peak - self.limit)

    def sum_of(self, *states: str) -> Decimal:
        """What the holds in these states count for."""
        return sum((one.counts for one in self.holds.values() if one.state in states), _NONE)

    def add(self, hold_id: str, hold: Held) -> None:
        """A hold was granted."""
        self.holds[hold_id] = hold
        self.granted += hold.given
        self.leased += hold.given if hold.kind == "lease" else 0
        heappush(self.expiries, (hold.expires_at, hold_id))

    def grant_waiting(self, before: int, hold_id: str | None = None) -> None:
        """What was granted before then after it had waited; and that hold, since it is named and known."""
        due = sorted((at, name) for name, (at, _) in self.waiting.items() if at < before or name == hold_id)
        for at, name in due:
            self.add(name, self.waiting.pop(name)[1])
            self.note(at)

    def note(self, at: int) -> None:
        """Keeps what is leased since then, and the most that was ever granted."""
        self.leases.append((at, self.leased))
        if self.granted > self.peak:
            self.peak, self.peak_at = self.granted, at

    def change(self, hold: Held, state: str, used: Decimal = _NONE) -> None:
        """A hold changes its state."""
        before = hold.counts
        self.leased -= hold.given if hold.kind == "lease" and hold.state == "open" else 0
        hold.state, hold.used = state, used
        self.granted += hold.counts - before

    def pass_time(self, now: int) -> None:
        """What is not closed in time has expired."""
        while self.expiries and self.expiries[0][0] <= now:
            hold = self.holds[heappop(self.expiries)[1]]
            if hold.state == "open" and hold.expires_at <= now:
                self.change(hold, "expired")


@dataclass(frozen=True)
class Shown:
    """What a `show` was answered, and what was counted at its place in the log. `leased` is a part of `held`."""

    account: str
    at: int
    answer: Answer
    used: Decimal
    held: Decimal
    leased: Decimal


@dataclass(frozen=True)
class Recount:
    """Accounts at the end of the log, every `show`, and what was leased when, by account: (since, amount) in order."""

    accounts: Mapping[str, Account]
    shows: Sequence[Shown]
    leased: Mapping[str, Sequence[tuple[int, Decimal]]]


def recounted(commands: Sequence[Logged], answers: Mapping[str, Answer], limits: Mapping[str, Decimal]) -> Recount:
    """`commands` in the order of their places; one account lies in one partition."""
    accounts = {f"account/{name}": Account(limit) for name, limit in limits.items()}
    shows: list[Shown] = []
    now: dict[int, int] = {}
    for logged in commands:
        command = logged.command
        now[logged.partition] = max(now.get(logged.partition, 0), logged.at)
        if isinstance(command, Facts | Quote):
            continue
        root = command.subject.root if isinstance(command, Reserve | Show) else command.root
        account, answer = accounts.get(root), answers.get(command.command_id)
        if account is None:
            continue
        # Who names a hold and is told that there is none has not been granted it yet.
        is_unknown = answer is not None and answer.status is Status.UNKNOWN_HOLD
        account.grant_waiting(logged.at, None if is_unknown else getattr(command, "hold_id", None))
        account.pass_time(now[logged.partition])
        name = root.removeprefix("account/")
        if answer is not None and isinstance(command, Show):
            held = account.sum_of("open", "expired")
            shows.append(Shown(name, logged.at, answer, account.sum_of("settled"), held, account.leased))
        elif answer is not None:
            _apply(account, command, answer, logged.at)
            account.note(logged.at)
    for account in accounts.values():
        account.grant_waiting(_END)
    named = {name.removeprefix("account/"): one for name, one in accounts.items()}
    return Recount(named, shows, {name: one.leases for name, one in named.items()})


def _apply(account: Account, command: Asked, answer: Answer, at: int) -> None:
    if isinstance(command, Reserve):
        if answer.is_granted and not command.dry_run and command.hold_id not in account.holds:
            granted = Held(answer.amounts.get(TOKENS, _NONE), command.kind, answer.expires_at)
            granted_at = answer.expires_at - command.ttl_seconds * 1_000_000
            if granted_at > at:
                account.waiting[command.hold_id] = (granted_at, granted)
            else:
                account.add(command.hold_id, granted)
        return
    hold = account.holds.get(command.hold_id) if isinstance(command, Confirm | Release | Extend) else None
    if hold is None:
        return
    if isinstance(command, Confirm) and answer.status is Status.SETTLED and hold.state != "settled":
        account.change(hold, "settled", command.actual.get(TOKENS, hold.given))
    elif isinstance(command, Release) and answer.status is Status.RELEASED and hold.state in ("open", "expired"):
        account.change(hold, "released")
    elif isinstance(command, Extend) and answer.status is Status.EXTENDED:
        hold.expires_at = max(hold.expires_at, answer.expires_at)
        heappush(account.expiries, (hold.expires_at, command.hold_id))
