"""What the client raises, by what the caller must do.

    ApiProblem                an answer of 400 or more, as RFC 9457 problem details
    ├── NotFound              404: not there, or another account's
    ├── NotAllowed            401, 403: another key, or another scope; also a Denied
    ├── Invalid               400, 413, 414, 415, 422, 431: correct the request; `errors` says which field
    ├── Conflict              409: it stands otherwise by now
    ├── LimitReached          402, 429: a quota or a pace says no; `standing`, `retry_after`; also a Denied
    └── Unavailable           5xx, or nobody answered (status 0): try again later; also a Retryable

All of them are TaximeterErrors. Neither a message nor a repr has the key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from taximeter.client.call import Reply
from taximeter_schemas.errors import Denied, Retryable, TaximeterError


class ApiProblem(TaximeterError):
    """A refusal. `type` is its short name, such as `not-found`; `detail` says what to do; `more` has further members.

    `request_id` finds it in the log of the API. `retry_after` is in seconds, None where the API said nothing.
    """

    def __init__(self, status: int, members: Mapping[str, Any], retry_after: float | None = None) -> None:
        self.status = status
        self.type = str(members.get("type", "")).rpartition("#")[2]
        self.title = str(members.get("title", ""))
        self.detail = str(members.get("detail", ""))
        self.request_id = str(members.get("instance", ""))
        self.more = {name: value for name, value in members.items() if name not in _KNOWN}
        self.retry_after = retry_after
        self._members = members
        super().__init__(self._words())

    def __reduce__(self) -> tuple[Any, ...]:
        # To other processes: an exception is made again by its arguments.
        return type(self), (self.status, dict(self._members), self.retry_after)

    def _words(self) -> str:
        said = self.detail or self.title or "refused without a word"
        request = f"request {self.request_id}" if self.request_id else ""
        told = [one for one in (str(self.status or ""), self.type, request) if one]
        return f"{said} ({', '.join(told)})" if told else said


class NotFound(ApiProblem):
    """It is not there, or it is another account's."""


class NotAllowed(ApiProblem, Denied):
    """The key is not known, has expired or was revoked, or lacks a scope."""


class Invalid(ApiProblem):
    """The request must be corrected."""

    @property
    def errors(self) -> list[Mapping[str, str]]:
        """What is wrong, field by field: `in`, `field`, `problem`."""
        return list(self.more.get("errors", ()))


class Conflict(ApiProblem):
    """It stands otherwise by now, or more than one fits."""


class LimitReached(ApiProblem, Denied):
    """A quota has no room, or requests come too often."""

    @property
    def standing(self) -> Mapping[str, Any] | None:
        """Of a quota: which limit, what is left and when it resets."""
        return self.more.get("standing")


class Unavailable(ApiProblem, Retryable):
    """The API, or a server behind it, is away."""


_KNOWN = frozenset({"type", "title", "status", "detail", "instance"})
_KINDS: Mapping[int, type[ApiProblem]] = {
    401: NotAllowed,
    402: LimitReached,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    429: LimitReached,
    **dict.fromkeys((400, 405, 406, 413, 414, 415, 422, 431), Invalid),
}


def problem_of(reply: Reply) -> ApiProblem:
    """The error for an answer of 400 or more, also where whoever answered knows no problem details."""
    kind = Unavailable if reply.status >= 500 else _KINDS.get(reply.status, ApiProblem)
    return kind(reply.status, _members(reply), retry_after_of(reply.headers.get("retry-after", "")))


def unreachable(words: str) -> Unavailable:
    """The error where nobody answered."""
    return Unavailable(0, {"detail": f"the API did not answer ({words})"})


def garbled(reply: Reply) -> Unavailable:
    """The error for an answer that is none of the API's, such as a proxy's page."""
    members = {"detail": "the answer is none of the API's; look at the URL, and for a proxy before it", "instance":
               reply.headers.get("x-request-id", "")}  # fmt: skip
    return Unavailable(reply.status, members)


def retry_after_of(text: str) -> float | None:
    """Seconds of a Retry-After; a date in it is not read."""
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _members(reply: Reply) -> Mapping[str, Any]:
    try:
        members = json.loads(reply.body)
    except (ValueError, RecursionError):
        members = None
    if isinstance(members, dict):
        return members
    return {"title": f"status {reply.status}", "instance": reply.headers.get("x-request-id", "")}
