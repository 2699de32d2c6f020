"""What a stream is about, and what of it is worth telling. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from taximeter_consumers.api.readiness import Verdict

FRESHNESS_AT_LEAST_SECONDS: Final = 10.0
_STEPS: Final = ((10.0, 1.0), (60.0, 10.0), (float("inf"), 60.0))


@dataclass(frozen=True)
class Watched:
    """An account or a user of it; no account: all of them together. `is_bar`: the usage bar alone, as products embed
    it, which for a user is the user's own."""

    account_id: str
    user_id: str = ""
    is_bar: bool = False


def changed(shown: Mapping[str, str], seen: Mapping[str, str]) -> dict[str, str]:
    """Of what was seen (event to data) what readers have not been shown yet."""
    return {event: data for event, data in seen.items() if shown.get(event) != data}


def visible(verdict: Verdict) -> tuple[object, ...]:
    """Of a verdict what a person would notice: ages in steps that grow with them."""
    facts = verdict.facts
    return (
        verdict.is_ready,
        verdict.reasons,
        _step(facts.rollup_lag_seconds),
        _step(facts.last_stored_seconds),
        facts.unread.records if facts.unread else None,
    )


def is_worth_telling(before: tuple[object, ...] | None, now: tuple[object, ...], seconds: float) -> bool:
    """Whether freshness is told again, so many seconds after it was told last."""
    return before != now or seconds >= FRESHNESS_AT_LEAST_SECONDS


def _step(seconds: float | None) -> float | None:
    """The age as a person reads it: by the second, by ten seconds, by the minute."""
    if seconds is None:
        return None
    step = next(step for bound, step in _STEPS if seconds < bound or step == _STEPS[-1][1])
    return seconds // step * step
