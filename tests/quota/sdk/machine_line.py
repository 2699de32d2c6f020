"""The line with the broker left out: commands go straight to the real decision machine, in order, at a time of ours."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from taximeter.quota import QuotaClient, QuotaGate, QuotaSettings
from taximeter.quota.asker import Asker
from taximeter.quota.keeper import Keeper
from taximeter.quota.line import Then, new_id, silence
from taximeter.quota.ticket import Ticket
from taximeter_consumers.quota.machine.effects import Load, Reply
from taximeter_consumers.quota.machine.machine import Machine
from taximeter_schemas.errors import TaximeterError
from taximeter_schemas.quota.commands import Asked, Command, Confirm, Facts, LevelFacts, Release, Reserve
from taximeter_schemas.quota.limits import Action, OnOutage, Rule, Window
from taximeter_schemas.quota.subject import Subject
from taximeter_schemas.settings import KafkaSettings, TopicSettings

METER = "total_tokens"
START = 1_800_000_000_000_000


def rule(level: str, amount: int, *, on_outage: OnOutage = OnOutage.CLOSED, degrade_to: str = "") -> Rule:
    """A hard limit of tokens that no calendar ends."""
    action = Action.DEGRADE if degrade_to else Action.BLOCK
    return Rule(
        limit_id=f"{level}-most", meter=METER, window=Window.RUN, amount=Decimal(amount), on_outage=on_outage,
        action=action, degrade_to=degrade_to,
    )  # fmt: skip


class MachineLine:
    """Has the methods of `Line`. `silent` is an outage: nothing is decided; `tell_silence` ends the waiting."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self.machine = Machine(0)
        self.rules = rules
        self.now = START
        self.offset = 0
        self.silent = False
        self.held_up: list[tuple[Asked, Then]] = []
        self.sent: list[Asked] = []
        self.caller, self.answer_to, self.owner = new_id(), 0, None

    def send(self, command: Asked, seconds: float, then: Then) -> None:
        self.sent.append(command)
        if self.silent:
            self.held_up.append((command, then))
        else:
            self._decide(command, then)

    def tell(self, command: Asked) -> None:
        self.sent.append(command)
        if self.silent:
            self.held_up.append((command, lambda _: None))
        else:
            self._decide(command, lambda _: None)

    def tell_silence(self) -> None:
        """The time is over for all that were not answered. Their commands stay in the log."""
        for _, then in list(self.held_up):
            then(silence("commands"))
        self.held_up = [(command, lambda _: None) for command, _ in self.held_up]

    def catch_up(self) -> None:
        """The service is back, and decides the log in its order; who has gone does not hear it."""
        self.silent = False
        waiting, self.held_up = self.held_up, []
        for command, then in waiting:
            self._decide(command, then)

    def _decide(self, command: Asked, then: Then) -> None:
        for effect in self._apply(command):
            if isinstance(effect, Reply) and effect.answer.command_id == command.command_id:
                then(effect.answer)

    def _apply(self, command: Command) -> list[object]:
        effects = list(self.machine.apply(command, self.now, self.offset))
        self.offset += 1
        for effect in list(effects):
            if isinstance(effect, Load):
                levels = {
                    level: LevelFacts(rules=(self.rules[level],) if level in self.rules else ())
                    for level in effect.subject.levels
                }
                effects += self._apply(Facts(root=effect.root, as_of=self.now, levels=levels))
        return effects

    def close(self) -> None:
        self.tell_silence()

    def abandon(self) -> None:
        """Nothing to leave."""


class Stage:
    """A gate that is served by hand, at a time that stands still unless it is moved."""

    def __init__(self, rules: Mapping[str, Rule], **settings: object) -> None:
        self.line = MachineLine(rules)
        asker = Asker(KafkaSettings(), TopicSettings())
        asker._line = self.line  # type: ignore[assignment]  # it has the methods of the real one
        given = {"lease_seconds": 30, "lease_checks": 2, "first_lease_seconds": 1.0, **settings}
        self.client = QuotaClient(asker, QuotaSettings.model_validate(given))
        self.gate = QuotaGate(self.client, clock=lambda: self.line.now / 1e6)

    def move(self, seconds: float) -> None:
        """Time passes; the keeper is served in small steps."""
        while seconds > 0:
            step = min(seconds, 1.0)
            self.line.now += int(step * 1e6)
            self.serve()
            seconds -= step

    def serve(self) -> None:
        """Once around, and again as long as something is due at once."""
        for _ in range(4):
            for one in list(self.gate.keeper._kept):
                self.gate.keeper._serve(one)

    def check(self, subject: Subject, tokens: int) -> Ticket:
        """As a caller would, whose wait is over when the keeper has been served."""
        need = {METER: tokens}
        for _ in range(4):
            ticket = self.gate.check_now(subject, need)
            if ticket is not None:
                return ticket
            self.gate.purse_of(subject).want(need, self.line.now / 1e6)
            self.serve()
        return self.gate.purse_of(subject).by_policy(need, self.line.now / 1e6)

    def confirmed(self) -> dict[str, Decimal]:
        """Tokens of every hold that was confirmed."""
        return {one.hold_id: one.actual.get(METER, Decimal(0)) for one in self.line.sent if isinstance(one, Confirm)}


class ServedByHand(Keeper):
    """Has no thread."""

    def _start(self) -> None:
        """Nothing starts."""


__all__ = ["METER", "MachineLine", "Release", "Reserve", "Stage", "TaximeterError", "rule"]
