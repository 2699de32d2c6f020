"""How far this process's clock is ahead of the log's, which the brokers stamp: what a record says when it is heard.

A record is heard after it was stamped, never before. So the least difference of the last ones is that of the clocks,
and a little more; time that is told by it is never later than the log's own. Pure.
"""

from __future__ import annotations

from typing import Final

from taximeter_schemas.quota.limits import MINUTE

# A clock that was set forward is believed for no longer than twice this, while there are records.
_KEPT: Final = MINUTE


class Ahead:
    """All times are Unix microseconds."""

    def __init__(self) -> None:
        self._until = 0
        self._least: int | None = None
        self._before: int | None = None

    @property
    def by(self) -> int | None:
        """By how much at most, below zero where it is behind; None before any record was heard."""
        known = [one for one in (self._least, self._before) if one is not None]
        return min(known) if known else None

    def heard(self, stamped: int, now: int) -> None:
        """A record of the log's time `stamped` was heard at `now` by this process's clock."""
        if now >= self._until or now < self._until - _KEPT:
            self._until, self._before, self._least = now + _KEPT, self._least, None
        self._least = min(now - stamped, self._least if self._least is not None else now - stamped)
