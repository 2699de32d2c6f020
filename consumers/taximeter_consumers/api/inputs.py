"""What may come in: names, instants, counts and pages, each with its bounds. The rest is refused with a word.

Instants are ISO 8601; one without a zone is UTC, as on the command line. A day alone is its midnight.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

# No control characters: no id has them, and terminals, logs and CSV files stay whole.
_PLAIN: Final = r"^[^\x00-\x1f\x7f]*$"
_ISO: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)?)?", re.ASCII | re.IGNORECASE
)
# In a query a plus sign that was not escaped has become a space.
_LOST_PLUS: Final = re.compile(r" (\d\d:?\d\d)$")
_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_NOT_AN_INSTANT: Final = "write an instant like 2026-11-01T12:00:00Z or a day like 2026-11-01"
MOST_COUNT: Final = 10**15


def instant(value: Any) -> Any:
    """The instant of a text in UTC. Raises ValueError for what is none, and outside 2000 to 2099."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise ValueError(_NOT_AN_INSTANT)  # noqa: TRY004 - pydantic takes a ValueError for the caller's mistake
    text = value.strip() if len(value) <= 40 else ""
    text = text if _ISO.fullmatch(text) else _LOST_PLUS.sub(r"+\1", text)
    if not _ISO.fullmatch(text):
        raise ValueError(_NOT_AN_INSTANT)
    try:
        moment = datetime.fromisoformat(text.upper())
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(_NOT_AN_INSTANT) from None
    if not _FIRST <= moment < _LAST:
        raise ValueError("give an instant from 2000 to 2099")
    return moment


Name = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=_PLAIN)]
"""An id or a name as events have it."""

Word = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]
"""A plain word, such as a unit."""

Moment = Annotated[
    datetime,
    BeforeValidator(instant),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-01T00:00:00Z"]}),
]
"""An instant, UTC."""

Count = Annotated[int, Field(ge=0, le=MOST_COUNT)]
"""How many of something."""

Cursor = Annotated[str, StringConstraints(min_length=1, max_length=2_048, pattern=r"^[A-Za-z0-9_-]+$")]
"""Where a page begins, as the page before said it."""

Month = Annotated[str, StringConstraints(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$")]
"""A billing period by the month in which it begins, like 2026-11."""
