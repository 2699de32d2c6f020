"""Times on the command line: ISO 8601, or how long ago (`90s`, `15m`, `2h`, `7d`)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import typer

_AGO = re.compile(r"^(\d+(?:\.\d+)?)([smhd])$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_moment(text: str, now: datetime, option: str | None = None) -> datetime:
    """The instant, UTC; a time without a zone is UTC. Raises typer.BadParameter, which names `option`."""
    ago = _AGO.match(text.strip())
    try:
        if ago:
            return now - timedelta(seconds=float(ago.group(1)) * _SECONDS[ago.group(2)])
        moment = datetime.fromisoformat(text.strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"{text!r} is neither a time like 2026-06-01T12:00:00Z nor how long ago, like 2h", param_hint=option
        ) from error
