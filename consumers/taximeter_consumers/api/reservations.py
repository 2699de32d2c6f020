"""Reservations by name, and answers of the quota service as those of the API. Pure.

The name of a reservation says by a mark whose it is, so nobody settles another's, even where both are decided together.
With an idempotency key it is made of the key: a repeat is the same reservation.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from taximeter_consumers.api.models.quota import HoldAnswer, HoldState, StandingAnswer
from taximeter_consumers.api.problems import Problem, not_found
from taximeter_schemas.errors import Retryable
from taximeter_schemas.quota.answers import Answer, HoldShown, Standing, Status
from taximeter_schemas.quota.limits import Window
from taximeter_schemas.quota.subject import Subject
from taximeter_schemas.quota.wording import explained

if TYPE_CHECKING:
    from collections.abc import Callable

    from taximeter_consumers.api.models.quota import SubjectAsked

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SHORT: Final = frozenset({Window.MINUTE, Window.DAY})
# After that a time has no date; holds and windows without an end say so by one.
_LAST: Final = 253_402_300_799_000_000


def new_name(account_id: str, key: str | None, random: Callable[[int], str]) -> str:
    """The name of a reservation; `random` gives hexadecimal digits for so many bytes."""
    if key is None:
        return f"r.{_mark(account_id)}.{random(16)}"
    mixed = hashlib.sha256(b"\0".join((account_id.encode(), key.encode()))).hexdigest()
    return f"r.{_mark(account_id)}.{mixed[:32]}"


def is_of(name: str, account_id: str) -> bool:
    """Whether a reservation is the account's."""
    first, _, rest = name.partition(".")
    mark, _, last = rest.partition(".")
    whole = first == "r" and len(last) == 32 and last.isascii() and last.isalnum()
    return whole and hmac.compare_digest(mark.encode(), _mark(account_id).encode())


def subject_of(asked: SubjectAsked, account_id: str) -> Subject:
    """Whose use it is."""
    return Subject(
        account_id=account_id,
        project_id=asked.project_id or "",
        user_id=asked.user_id or "",
        key_id=asked.key_id or "",
        run_id=asked.run_id or "",
    )


def granted(answer: Answer, now: datetime) -> Answer:
    """The answer, where it holds something. Raises the problem, with the standing of the limit that has no room."""
    if answer.is_granted:
        return answer
    if answer.status is Status.DENIED and answer.refused_by is not None:
        raise denied(answer.refused_by, now)
    if answer.status in (Status.SETTLED, Status.RELEASED):
        raise Problem("conflict", "the reservation of this Idempotency-Key is closed by now; reserve with another key")
    raise unexpected(answer)


def denied(standing: Standing, now: datetime) -> Problem:
    """402 where a month or a run is used up; 429 for what comes back within the day."""
    shown = {"standing": standing_of(standing).model_dump(mode="json", by_alias=True)}
    if standing.window in _SHORT and standing.resets_at is not None:
        seconds = max(1, -((now - moment_of(standing.resets_at)) // timedelta(seconds=1)))
        return Problem("too-many-requests", explained(standing), shown, {"Retry-After": str(seconds)})
    return Problem("quota-exceeded", explained(standing), shown)


def unexpected(answer: Answer) -> Problem | Retryable:
    """What to raise for an answer that gives nothing."""
    if answer.status is Status.UNKNOWN_HOLD:
        return not_found("reservation")
    if answer.status is Status.REFUSED:
        return Problem("conflict", "the quota service refuses this as things are; look at the reservation")
    return Retryable(f"the quota service answered {answer.status}: {answer.reason}")


def standing_of(standing: Standing) -> StandingAnswer:
    """One limit."""
    told = standing.model_dump(exclude={"leased", "starts_at", "resets_at"})
    ends = standing.resets_at
    return StandingAnswer(
        **told,
        percent=standing.percent,
        starts_at=moment_of(standing.starts_at),
        resets_at=None if ends is None or ends > _LAST else moment_of(ends),
    )


def hold_of(hold: HoldShown) -> HoldAnswer:
    """One reservation."""
    return HoldAnswer(
        reservation_id=hold.hold_id,
        state=HoldState(hold.state),
        amounts=dict(hold.amounts),
        expires_at=moment_of(hold.expires_at),
        run_id=hold.run_id,
    )


def moment_of(micros: int) -> datetime:
    """The instant, UTC."""
    return _EPOCH + timedelta(microseconds=min(micros, _LAST))


def known_at(answer: Answer) -> datetime | None:
    """As of when use is known."""
    return moment_of(answer.as_of) if answer.as_of > 0 else None


def _mark(account_id: str) -> str:
    return hashlib.sha256(account_id.encode()).hexdigest()[:16]
