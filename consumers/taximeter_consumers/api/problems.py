"""Every refusal as RFC 9457 `application/problem+json`: what it is, and what to do about it.

A problem never quotes what the caller sent beyond the name of a field, and never what the server said: the log has
that, under the request's id, which is the problem's `instance`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from starlette.responses import JSONResponse

from taximeter_consumers.clickhouse.errors import code_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from taximeter_schemas.errors import Retryable

MEDIA_TYPE: Final = "application/problem+json"
RETRY_SECONDS: Final = 5

# slug -> (status, title)
KINDS: Final[Mapping[str, tuple[int, str]]] = {
    "bad-request": (400, "The request cannot be understood"),
    "too-much": (400, "The question is too large"),
    "quota-exceeded": (402, "A limit is used up"),
    "no-key": (401, "A valid API key is needed"),
    "no-token": (401, "A valid token is needed"),
    "token-expired": (401, "The token is over"),
    "scope-missing": (403, "The key lacks a scope"),
    "not-found": (404, "There is nothing here"),
    "method-not-allowed": (405, "The method is not allowed here"),
    "not-acceptable": (406, "There is no such form of it"),
    "ambiguous": (409, "More than one fits"),
    "conflict": (409, "It stands otherwise by now"),
    "body-too-large": (413, "The body is too large"),
    "url-too-long": (414, "The URL is too long"),
    "unsupported-media-type": (415, "The body must be JSON"),
    "invalid": (422, "The request is not valid"),
    "unknown-model": (422, "The price book has no such model"),
    "too-many-requests": (429, "Too much at once"),
    "headers-too-large": (431, "The headers are too large"),
    "failed": (500, "The API failed"),
    "unavailable": (503, "A server behind the API is away"),
}
_SLUGS: Final = {status: slug for slug, (status, _) in reversed(list(KINDS.items()))}
# What the limits of a read answer: time, rows and bytes to read, rows of a result, memory of the query.
_LIMITS: Final = frozenset({158, 159, 160, 241, 307, 396})


class Problem(Exception):
    """A refusal. `detail` says what to do; `more` are further members, `headers` further headers."""

    def __init__(
        self,
        slug: str,
        detail: str,
        more: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.slug = slug
        self.detail = detail
        self.more = more or {}
        self.headers = headers or {}

    @property
    def status(self) -> int:
        """The HTTP status."""
        return KINDS[self.slug][0]


def problem_of_status(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Problem:
    """The problem for a bare status, as the router raises it."""
    return Problem(_SLUGS.get(status, "bad-request"), detail, headers=headers)


def problem_object(problem: Problem, request_id: str) -> dict[str, Any]:
    """The problem as JSON has it."""
    status, title = KINDS[problem.slug]
    return {
        "type": f"/docs#{problem.slug}",
        "title": title,
        "status": status,
        "detail": problem.detail,
        "instance": request_id,
        **problem.more,
    }


def answer(problem: Problem, request_id: str) -> JSONResponse:
    """The response."""
    return JSONResponse(
        problem_object(problem, request_id), problem.status, headers=dict(problem.headers), media_type=MEDIA_TYPE
    )


def not_found(what: str) -> Problem:
    """Also for what belongs to another account: whether that exists is nobody's business."""
    return Problem("not-found", f"there is no such {what} for this key; look at the id and at accountId")


def invalid(errors: Sequence[Mapping[str, Any]]) -> Problem:
    """The problem for pydantic's errors, by place and without the values."""
    told = [_told(error) for error in errors[:20]]
    first = told[0] if told else {"field": "request", "problem": "is not valid"}
    return Problem("invalid", f"correct {first['field']}: {first['problem']}", {"errors": told})


def of_outage(error: Retryable) -> Problem:
    """The problem for a ClickHouse that is away, or that stopped a question at its limits."""
    if code_of(str(error.__cause__)) in _LIMITS:
        return Problem("too-much", "narrow the dates or the filters, or name an account: it took too long or too much")
    return Problem(
        "unavailable", "try again in a few seconds; nothing was changed", headers={"Retry-After": str(RETRY_SECONDS)}
    )


def _told(error: Mapping[str, Any]) -> dict[str, str]:
    where, *path = [str(part) for part in error.get("loc", ())] or ["request"]
    known = error.get("type") != "extra_forbidden"
    words = str(error.get("msg", "is not valid")).removeprefix("Value error, ")
    # The name of an unknown field is the caller's own text.
    field_name = ".".join(path)[:100].encode("ascii", "replace").decode() or where
    return {"in": where, "field": field_name, "problem": words if known else "there is no such parameter"}
