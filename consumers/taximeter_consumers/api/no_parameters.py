"""Routes that take no parameters in the query refuse all of them, as every other route refuses those it does not know.

A misspelt filter is no filter: whoever sends one learns of it, instead of reading an answer to another question.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Request

from taximeter_consumers.api.problems import invalid

if TYPE_CHECKING:
    from fastapi.routing import APIRoute


def no_parameters(request: Request) -> None:
    """A dependency. Raises the problem invalid."""
    route: APIRoute = request.scope["route"]
    if request.query_params and not route.dependant.query_params:
        raise invalid([{"loc": ("query", name), "type": "extra_forbidden"} for name in request.query_params])
