"""Commands and facts for tests, in few words, and a log that is applied record by record."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from taximeter_consumers.quota.machine.effects import Effect, Raise, Reply
from taximeter_consumers.quota.machine.machine import Machine
from taximeter_schemas.quota.answers import Alert, Answer
from taximeter_schemas.quota.commands import Command, Confirm, Extend, Facts, LevelFacts, Release, Reserve, Show
from taximeter_schemas.quota.limits import MINUTE, Rule, Span, Window
from taximeter_schemas.quota.subject import Subject

TOKENS, CALLS, COST = "total_tokens", "http_requests", "cost_usd"
START = 1_800_000_000_000_000
START -= START % (60 * MINUTE)
HOUR = 60 * MINUTE
ACME = Subject(account_id="acme")
ADA = Subject(account_id="acme", user_id="ada")
ROOT, ACCOUNT, USER = "account/acme", "account/acme", "user/acme/ada"


def amounts(**meters: int | str) -> dict[str, Decimal]:
    """Meters by short names: tokens, calls, cost."""
    names = {"tokens": TOKENS, "calls": CALLS, "cost": COST}
    return {names[name]: Decimal(amount) for name, amount in meters.items()}


def asked(**said: Any) -> dict[str, Any]:
    """What every command says."""
    return {"command_id": "c", "caller": "test", "answer_to": 0, "wait_ms": 60_000, **said}


def reserve(hold_id: str, subject: Subject = ACME, tokens: int = 0, **said: Any) -> Reserve:
    """A reserve of tokens, or of `amounts`."""
    wanted = said.pop("amounts", {TOKENS: Decimal(tokens)})
    return Reserve(**asked(subject=subject, hold_id=hold_id, amounts=wanted, **said))


def confirm(hold_id: str, tokens: int | None = None, **meters: int | str) -> Confirm:
    """A confirm of what was used; of no meter where nothing is said."""
    actual = amounts(**meters, **({} if tokens is None else {"tokens": tokens}))
    return Confirm(**asked(root=ROOT, hold_id=hold_id, actual=actual))


def release(hold_id: str) -> Release:
    """A release."""
    return Release(**asked(root=ROOT, hold_id=hold_id))


def extend(hold_id: str, ttl_seconds: int) -> Extend:
    """An extend."""
    return Extend(**asked(root=ROOT, hold_id=hold_id, ttl_seconds=ttl_seconds))


def show(subject: Subject = ACME) -> Show:
    """A show."""
    return Show(**asked(subject=subject))


def limit(amount: int | str, window: Window = Window.MONTH, **said: Any) -> Rule:
    """A rule on tokens whose window, where it needs one, is the hour about START and the next."""
    spans = () if window in (Window.RUN, Window.MINUTE) else (span(0), span(1))
    return Rule(
        **{"limit_id": f"{window}-limit", "meter": TOKENS, "window": window, "amount": amount, "spans": spans, **said}
    )


def span(hours: int) -> Span:
    """An hour after START."""
    return Span(starts_at=START + hours * HOUR, ends_at=START + (hours + 1) * HOUR)


def level(*rules: Rule, used: int = 0, **said: Any) -> LevelFacts:
    """What is known of a level: tokens used in the first hour, and in every run."""
    usage = {TOKENS: {START: Decimal(used), 0: Decimal(used)}} if used else {}
    return LevelFacts(rules=rules, **{"usage": usage, **said})


class Log:
    """A machine and what it said. Time goes on by a millisecond with each record."""

    def __init__(self, machine: Machine | None = None) -> None:
        self.machine = machine or Machine(0)
        self.at = START
        self.alerts: list[Alert] = []
        self.effects: list[Effect] = []

    def apply(self, command: Command, after: int = 1_000) -> list[Answer]:
        """Applies a record, `after` microseconds later; its answers."""
        self.at += after
        self.effects = self.machine.apply(command, self.at, self.machine.next_offset)
        self.alerts += [effect.alert for effect in self.effects if isinstance(effect, Raise)]
        return [effect.answer for effect in self.effects if isinstance(effect, Reply)]

    def ask(self, command: Command, after: int = 1_000) -> Answer:
        """Applies a record that has one answer."""
        (answer,) = self.apply(command, after)
        return answer

    def learn(self, levels: Mapping[str, LevelFacts], after: int = 1_000, **said: Any) -> list[Answer]:
        """Applies facts as of now."""
        said = {"as_of": self.at + after, "complete_until": 0, **said}
        return self.apply(Facts(root=ROOT, levels=levels, **said), after)

    def used(self, key: str = ACCOUNT, limit_id: str = "month-limit") -> tuple[Decimal, Decimal, Decimal]:
        """Used, held and leased of a limit."""
        found = (one for _, one in self.machine.standings() if (one.level, one.limit_id) == (key, limit_id))
        standing = next(found)
        return standing.used, standing.held, standing.leased


def knowing(*rules: Rule, used: int = 0) -> Log:
    """A log whose account has these rules."""
    log = Log()
    log.learn({ACCOUNT: level(*rules, used=used)})
    return log


def merged(*takes: Mapping[str, bytes | None]) -> dict[str, bytes]:
    """Records as a compacted topic has them."""
    found: dict[str, bytes] = {}
    for take in takes:
        for key, body in take.items():
            if body is None:
                found.pop(key, None)
            else:
                found[key] = body
    return found
