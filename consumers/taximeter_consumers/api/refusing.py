"""Errors on their way out, each turned into a problem once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from taximeter_consumers.api.problems import Problem, answer, invalid, of_outage, problem_of_status
from taximeter_schemas.errors import Denied, Retryable, TaximeterError

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

_log = structlog.get_logger()
_SAID = {
    404: "there is no such route; GET /docs lists them",
    405: "this route does not take this method; GET /docs lists what it takes",
    400: "send JSON as the OpenAPI document describes it",
}


def register(app: FastAPI) -> None:
    """Puts the handlers on the application."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _status)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(TaximeterError, _ours)


def problem_of(error: TaximeterError) -> Problem:
    """The problem for an error of ours. An operator's mistake is told to the operator, in the log."""
    if isinstance(error, Retryable):
        return of_outage(error)
    if isinstance(error, Denied):
        return Problem("scope-missing", "a policy refuses this; ask the operator")
    return Problem(
        "unavailable", "the API is not set up well; tell the operator the instance, the log says what to mend"
    )


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 - registered for nothing else
    return answer(error, _id(request))


async def _status(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    # A body that is too large is noticed while the framework reads it.
    if isinstance(error.__cause__, Problem):
        return answer(error.__cause__, _id(request))
    said = _SAID.get(error.status_code, "look at GET /docs")
    return answer(problem_of_status(error.status_code, said, error.headers), _id(request))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for nothing else
    found = error.errors()
    of_body = any(one.get("loc", ("",))[0] == "body" for one in found)
    if of_body and not _is_json(request.headers.get("content-type", "")):
        problem = Problem("unsupported-media-type", "send the body as JSON with Content-Type: application/json")
    elif any(one.get("type") == "json_invalid" for one in found):
        problem = Problem("bad-request", "the body is no valid JSON")
    else:
        problem = invalid(found)
    return answer(problem, _id(request))


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, TaximeterError)  # noqa: S101 - registered for nothing else
    problem = problem_of(error)
    _log.warning("request refused", error=str(error), status=problem.status, request_id=_id(request))
    return answer(problem, _id(request))


def _is_json(content_type: str) -> bool:
    media = content_type.split(";")[0].strip().lower()
    return media == "application/json" or media.endswith("+json")


def _id(request: Request) -> str:
    return str(request.scope["request_id"])
