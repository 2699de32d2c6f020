"""What a difference between meter and bill may come from: calls that the meter itself doubts. Pure.

    residual = billed - metered

A call whose use is unknown, that has no price, or that broke off may have cost about what a sound call of that day and
model cost: such calls can explain a bill that is higher. Estimated calls can be off by as much as they are. A failed
call that was metered may not have been billed, and a correction (an adjustment, a re-rating) moves our side alone. An
explanation is never more than a candidate: what all of them together could explain at most is told beside what is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Final

from taximeter_schemas.money import COST_SCALE


class Reason(StrEnum):
    """Why a call is doubted, the first that holds of it."""

    UNMEASURED = "unmeasured"
    UNPRICED = "unpriced"
    ESTIMATED = "estimated"
    TIMEOUT = "timeout"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ADJUSTED = "adjusted"


class Measure(StrEnum):
    """What is compared: dollars, or tokens where a bill states no cost."""

    COST = "cost_usd"
    TOKENS = "tokens"


_BROKEN_OFF: Final = frozenset({Reason.TIMEOUT, Reason.FAILED, Reason.CANCELLED})
_NONE: Final = Decimal(0)


@dataclass(frozen=True)
class Use:
    """So many calls, what they cost in US dollars, and their input and output tokens."""

    calls: int = 0
    cost_usd: Decimal = _NONE
    tokens: int = 0

    def of(self, measure: Measure) -> Decimal:
        """The amount that is compared."""
        return self.cost_usd if measure is Measure.COST else Decimal(self.tokens)

    def plus(self, other: Use) -> Use:
        """Both together."""
        return Use(self.calls + other.calls, self.cost_usd + other.cost_usd, self.tokens + other.tokens)


@dataclass(frozen=True)
class Doubt:
    """The calls of one reason: all of a day and model, or those of one run."""

    reason: Reason
    use: Use
    account_id: str = ""
    run_id: str = ""


@dataclass(frozen=True)
class Candidate:
    """A doubt, and how much of the residual it could explain at most."""

    doubt: Doubt
    could_explain: Decimal


@dataclass(frozen=True)
class Day:
    """What meter and bill say of one day (UTC) and model.

    `billed` None: not on the bill. `sound` is metered use without any doubt."""

    day: date
    provider: str
    model: str
    metered: Use = Use()
    sound: Use = Use()
    billed: Use | None = None
    doubts: Sequence[Doubt] = field(default=())
    runs: Sequence[Doubt] = field(default=())


@dataclass(frozen=True)
class Difference:
    """One line of the comparison. `explained` is what all reasons together could explain, no more than the residual;
    it has the residual's sign, as `unexplained` has."""

    day: Day
    metered: Decimal
    billed: Decimal
    reasons: tuple[Candidate, ...]
    candidates: tuple[Candidate, ...]
    explained: Decimal

    @property
    def residual(self) -> Decimal:
        """What the provider billed beyond what was metered; negative where it billed less."""
        return self.billed - self.metered

    @property
    def unexplained(self) -> Decimal:
        """What is left of the residual."""
        return self.residual - self.explained

    @property
    def share(self) -> Decimal | None:
        """The residual as a share of what was billed; None where nothing was."""
        return share_of(self.residual, self.billed)


def compare(day: Day, measure: Measure, top: int) -> Difference:
    """One line: the residual, its candidates (the `top` runs), and what they could explain."""
    billed = day.billed.of(measure) if day.billed is not None else _NONE
    metered = day.metered.of(measure)
    residual = billed - metered
    typical = typical_call(day, measure)
    reasons = _candidates(day.doubts, residual, typical, measure)
    candidates = _candidates(day.runs, residual, typical, measure)[:top]
    could = min(sum((reason.could_explain for reason in reasons), _NONE), abs(residual))
    return Difference(day, metered, billed, tuple(reasons), tuple(candidates), could.copy_sign(residual))


def typical_call(day: Day, measure: Measure) -> Decimal:
    """What a call of the day and model comes to: the mean of the sound ones, else what the bill says for each."""
    if day.sound.calls > 0:
        return _divided(day.sound.of(measure), day.sound.calls)
    if day.billed is None:
        return _NONE
    calls = day.billed.calls or day.metered.calls
    return _divided(day.billed.of(measure), calls) if calls > 0 else _NONE


def could_explain(doubt: Doubt, residual: Decimal, typical: Decimal, measure: Measure) -> Decimal:
    """How much of the residual these calls could explain at most; never negative."""
    own = doubt.use.of(measure)
    if doubt.reason is Reason.ADJUSTED:
        # A correction moved the meter, and the bill knows nothing of it.
        against = -own if residual > 0 else own
        return max(against, _NONE)
    if residual < 0:
        return max(own, _NONE) if doubt.reason in _BROKEN_OFF or doubt.reason is Reason.ESTIMATED else _NONE
    if doubt.reason is Reason.ESTIMATED:
        return max(own, _NONE)
    if doubt.reason is Reason.UNPRICED and measure is Measure.TOKENS:
        return _NONE
    return max(typical * doubt.use.calls - own, _NONE)


def total_of(differences: Iterable[Difference]) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    """Metered, billed, and the residuals and the unexplained parts without their signs, so that none hides another."""
    metered = billed = residual = unexplained = _NONE
    for one in differences:
        metered, billed = metered + one.metered, billed + one.billed
        residual, unexplained = residual + abs(one.residual), unexplained + abs(one.unexplained)
    return metered, billed, residual, unexplained


def share_of(part: Decimal, whole: Decimal) -> Decimal | None:
    """A share with six decimal places; None of nothing."""
    return (part / whole).quantize(Decimal("0.000001"), rounding=ROUND_HALF_UP) if whole else None


def _candidates(doubts: Sequence[Doubt], residual: Decimal, typical: Decimal, measure: Measure) -> list[Candidate]:
    if not residual:
        return []
    found = [Candidate(doubt, could_explain(doubt, residual, typical, measure)) for doubt in doubts]
    order = list(Reason)
    return sorted(
        (one for one in found if one.could_explain > 0),
        key=lambda one: (-one.could_explain, order.index(one.doubt.reason), one.doubt.account_id, one.doubt.run_id),
    )


def _divided(amount: Decimal, calls: int) -> Decimal:
    return (amount / calls).quantize(Decimal(1).scaleb(-COST_SCALE), rounding=ROUND_HALF_UP)
