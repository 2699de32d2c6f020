"""Looking at what a stream is about: ClickHouse, and the quota service where there is one. Runs in a thread.

The quota service is not waited for long, and after a silence it is left alone for a while; what it said last is
believed for some seconds, so that a bar does not jump back when one answer is late.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

import structlog

from taximeter_consumers.api.models.stream import (
    StreamFreshness,
    StreamQuota,
    StreamSubject,
    StreamTotals,
    StreamTrouble,
    StreamUsage,
)
from taximeter_consumers.api.reads.account_usage import level_usage
from taximeter_consumers.api.reads.today import totals_since
from taximeter_consumers.api.reservations import standing_of
from taximeter_consumers.quota.plans.named_level import Level, account
from taximeter_consumers.quota.plans.setting_rows import read_directory
from taximeter_schemas.errors import Retryable, TaximeterError
from taximeter_schemas.quota.answers import Status
from taximeter_schemas.quota.subject import LevelKind, Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from taximeter_consumers.api.models.account import AccountUsage
    from taximeter_consumers.api.models.wire import Wire
    from taximeter_consumers.api.readiness import Verdict
    from taximeter_consumers.api.services import Services
    from taximeter_consumers.api.stream.watched import Watched
    from taximeter_schemas.quota.answers import Standing

_ANSWER_SECONDS: Final = 1.0
_SILENCE_SECONDS: Final = 5.0
_BELIEVED_SECONDS: Final = 15.0
_AWAY: Final = "ClickHouse does not answer now; the numbers stand as they were, and go on when it is back"
_FAILED: Final = "the numbers cannot be read now and stand as they were; the operator's log says why"
_log = structlog.get_logger()


class Look:
    """Of one thing that is watched. One thread at a time."""

    def __init__(self, services: Services, watched: Watched, clock: Callable[[], float] = monotonic) -> None:
        self._services = services
        self._watched = watched
        self._clock = clock
        self._standings: tuple[Standing, ...] | None = None
        self._heard_at = self._silent_at = float("-inf")

    def __call__(self) -> Mapping[str, str]:
        """Event to data, as JSON. Raises Retryable and Misconfigured."""
        watched = self._watched
        if not watched.account_id:
            return {"totals": self._totals()}
        bar = self.bar()
        seen = {"usage": text_of(StreamUsage(**bar.model_dump(), account_id=watched.account_id))}
        if watched.is_bar:
            return seen
        if (standings := self._believed()) is not None:
            subject = StreamSubject(account_id=watched.account_id, user_id=watched.user_id or None)
            told = StreamQuota(subject=subject, standings=[standing_of(one) for one in standings])
            seen["quota"] = text_of(told)
        return seen | {"totals": self._totals()}

    def bar(self) -> AccountUsage:
        """The usage bar of the account; of an embedded page's user the user's own. Raises Retryable."""
        self._ask()
        watched, clickhouse = self._watched, self._services.reads.get()
        directory = self._services.directories.get("", lambda: read_directory(clickhouse))
        level = account(watched.account_id)
        if watched.is_bar and watched.user_id:
            level = Level(LevelKind.USER, watched.account_id, watched.user_id)
        return level_usage(clickhouse, directory, level, self._services.now(), self._believed() or ())

    def _totals(self) -> str:
        since = self._services.now().replace(hour=0, minute=0, second=0, microsecond=0)
        watched = self._watched
        row = totals_since(self._services.reads.get(), watched.account_id, watched.user_id, since)
        return text_of(StreamTotals(since=since, **row))

    def _believed(self) -> tuple[Standing, ...] | None:
        """What the quota service says, or said a moment ago."""
        return self._standings if self._clock() - self._heard_at < _BELIEVED_SECONDS else None

    def _ask(self) -> None:
        now = self._clock()
        if self._services.quota is not None and now - self._silent_at > _SILENCE_SECONDS:
            subject = Subject(account_id=self._watched.account_id, user_id=self._watched.user_id)
            try:
                answer = self._services.quota.show(subject, timeout=_ANSWER_SECONDS)
            except TaximeterError as error:
                self._silent_at = self._clock()
                _log.warning("a stream goes on without the quota service", error=str(error))
            else:
                self._standings = answer.standings if answer.status is Status.SHOWN else None
                self._heard_at = self._clock()


def freshness_text(verdict: Verdict) -> str:
    """The data of the event `freshness`."""
    facts = verdict.facts
    return text_of(
        StreamFreshness(
            rollup_lag_seconds=_rounded(facts.rollup_lag_seconds),
            last_stored_seconds=_rounded(facts.last_stored_seconds),
            unread_records=facts.unread.records if facts.unread else None,
            ready=verdict.is_ready,
            reasons=list(verdict.reasons),
        )
    )


def trouble_text(error: Exception) -> str:
    """The data of the event `trouble`: never the server's own words."""
    return text_of(StreamTrouble(detail=_AWAY if isinstance(error, Retryable) else _FAILED))


def text_of(told: Wire) -> str:
    """JSON on one line."""
    return told.model_dump_json(by_alias=True)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
