"""Where interleavings play: subjects, rules and their windows; and what is compared with the model."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from tests.quota.machine.asking import CALLS, TOKENS
from tests.quota.machine.model import Model
from tests.quota.machine.nature import Nature

from taximeter_consumers.quota.machine.effects import Effect, Raise, Reply
from taximeter_schemas.quota.answers import Standing, Status
from taximeter_schemas.quota.limits import MINUTE, Action, Rule, Span, Window
from taximeter_schemas.quota.subject import Subject

SUBJECTS = [
    Subject(account_id="acme"),
    Subject(account_id="acme", user_id="ada"),
    Subject(account_id="acme", user_id="ada", run_id="r1"),
    Subject(account_id="acme", project_id="p", run_id="r2"),
]
LEVELS = sorted({level for subject in SUBJECTS for level in subject.levels})
PICKS = st.integers(0, 7)
"""Which of the holds, the newest first."""
FEW = st.integers(0, 8)
# Within them, what happened is surely in Kafka before its hold claims nothing any more.
DELAYS = st.sampled_from([0, 1_000_000, 20_000_000, 50_000_000])
FATES = st.sampled_from(["", "", "", "anonymous", "lost"])
LAGS = st.sampled_from([(0, 0), (2_000_000, 0), (30_000_000, 1_000_000), (2 * MINUTE, 2 * MINUTE)])
DAY, MONTH = 10 * MINUTE, 60 * MINUTE


def rules_at(now: int, raised: int) -> dict[str, tuple[Rule, ...]]:
    """Rules as a directory writes them out: the windows of now and the next ones."""
    days = tuple(Span(starts_at=now - now % DAY + n * DAY, ends_at=now - now % DAY + (n + 1) * DAY) for n in (0, 1))
    months = tuple(
        Span(starts_at=now - now % MONTH + n * MONTH, ends_at=now - now % MONTH + (n + 1) * MONTH) for n in (0, 1)
    )

    def one(limit_id: str, window: Window, amount: int, meter: str = TOKENS, **said: Any) -> Rule:
        spans = {Window.DAY: days, Window.MONTH: months}.get(window, ())
        return Rule(limit_id=limit_id, meter=meter, window=window, amount=Decimal(amount), spans=spans, **said)

    return {
        "account/acme": (
            one("month", Window.MONTH, 30, added=Decimal(raised)),
            one("minute", Window.MINUTE, 14 + raised),
            one("calls", Window.DAY, 12, CALLS, hard=False),
        ),
        "user/acme/ada": (
            one("day", Window.DAY, 20, thresholds=(Decimal(20), Decimal("99.5"))),
            one("slow", Window.MINUTE, 6, action=Action.DEGRADE, degrade_to="mini"),
        ),
        "run/acme/r1": (one("run", Window.RUN, 16 + raised),),
    }


def told(effects: list[Effect]) -> list[tuple[Any, ...]]:
    """What the model says of effects, too."""
    found: list[tuple[Any, ...]] = []
    for effect in effects:
        if isinstance(effect, Raise):
            found.append(("alert", effect.alert.alert_id))
        elif isinstance(effect, Reply):
            answer = effect.answer
            said: tuple[Any, ...] = (answer.status.value, answer.hold_id)
            if answer.refused_by is not None:
                said += (answer.refused_by.level, answer.refused_by.limit_id, *numbers(answer.refused_by))
            elif answer.status in (Status.GRANTED, Status.DEGRADED, Status.SETTLED, Status.RELEASED):
                said += (answer.amounts, answer.expires_at)
            elif answer.status is Status.EXTENDED:
                said += (answer.expires_at,)
            found.append(("shown",) if answer.status is Status.SHOWN else said)
    return found


def numbers(standing: Standing) -> tuple[Decimal, ...]:
    """What of a standing changes."""
    return (standing.used, standing.held, standing.leased, standing.remaining)


def has_holds(state: Any) -> bool:
    """Whether there is something to do something with."""
    return bool(state.model.holds)


def room_of(model: Model, nature: Nature, hold_id: str, meter: str) -> Decimal:
    """What may still be used under a hold by what it holds, itself and what it lies in."""
    hold, room = model.holds[hold_id], Decimal("Infinity")
    while True:
        used = nature.by([one.id for one in model.tree(hold)], meter)
        room = min(room, hold.amounts.get(meter, Decimal(0)) - used)
        if hold.asked.parent is None:
            return max(room, Decimal(0))
        hold = model.holds[hold.asked.parent]
