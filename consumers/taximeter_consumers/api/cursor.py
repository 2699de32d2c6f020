"""Cursors of pages: where the next page begins, and of which question. Pure.

A page begins after a row, not at a number, so rows that come or go meanwhile neither repeat nor skip another. A cursor
is no secret and no right: whoever changes one only reads another part of what they may read anyway.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.api.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_USELESS: Final = "this cursor is of another question: ask again without a cursor"


def cursor_of(place: Sequence[str | int], question: Mapping[str, Any]) -> str:
    """The cursor for what follows `place` in the answer to a question."""
    text = json.dumps([mark_of(question), *place], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def place_of(cursor: str, question: Mapping[str, Any], kinds: Sequence[type]) -> list[Any]:
    """The place in a cursor: values of these kinds. Raises the problem invalid for a cursor of another question."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        said: list[Any] = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        mark, *place = said
    except (ValueError, TypeError, RecursionError):
        raise useless() from None
    fits = len(place) == len(kinds) and all(type(value) is kind for value, kind in zip(place, kinds, strict=True))
    if mark != mark_of(question) or not fits:
        raise useless()
    return place


def mark_of(question: Mapping[str, Any]) -> str:
    """A short mark of a question."""
    text = json.dumps(question, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def useless() -> Problem:
    """The refusal of a cursor."""
    return Problem("invalid", _USELESS)
