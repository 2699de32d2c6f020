"""The application: routers, limits, refusals, and the OpenAPI document. One factory, no globals."""

from __future__ import annotations

from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

from fastapi import Depends, FastAPI
from starlette.concurrency import run_in_threadpool

from taximeter_consumers.api import dashboard_page, docs_page, refusing
from taximeter_consumers.api.embed import pages
from taximeter_consumers.api.embed.origins import origins_of
from taximeter_consumers.api.limits import Limits
from taximeter_consumers.api.models.problem import ProblemModel
from taximeter_consumers.api.no_parameters import no_parameters
from taximeter_consumers.api.request_log import RequestLog
from taximeter_consumers.api.routes import (
    account,
    embed,
    events,
    export,
    health,
    invoices,
    key,
    models,
    quota,
    quota_settings,
    reservations,
    runs,
    stream,
    summary,
    usage,
    worker,
)
from taximeter_consumers.api.stream.streams import Streams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from taximeter_consumers.api.services import Services

ROUTERS: Final = (
    runs.router,
    summary.router,
    usage.router,
    models.router,
    invoices.router,
    export.router,
    events.router,
    reservations.router,
    quota.router,
    quota_settings.router,
    account.router,
    stream.router,
    embed.router,
    key.router,
    worker.router,
    health.router,
)
_ABOUT: Final = """
What AI workflow runs used and what they cost, to the last digit. Amounts are decimal strings in US dollars; a sum
always stands beside the counts of what it lacks. Times are UTC. Names are camelCase; unknown parameters are refused.
Send a key as `Authorization: Bearer tm_...` or `X-API-Key`; what belongs to another account is not found.
Refusals are RFC 9457 problem details that say what to do.
"""
_TAGS: Final = [
    {"name": "metering", "description": "Runs as trees, and sums over them"},
    {"name": "usage", "description": "Usage event by event, and its sums"},
    {"name": "prices", "description": "The price book, and calls by it"},
    {"name": "billing", "description": "Invoices"},
    {"name": "export", "description": "Files of any size"},
    {"name": "ingest", "description": "What was used, from executors and services in any language"},
    {"name": "quotas", "description": "Limits, and reservations against them"},
    {"name": "account", "description": "The usage bar"},
    {"name": "embedding", "description": "The usage bar in pages of products"},
    {"name": "operations", "description": "For operators' probes"},
]


def create_app(services: Services) -> FastAPI:
    """The application over some services, which it closes when it ends."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        streams.begin()
        yield
        streams.end()
        await run_in_threadpool(services.close)

    streams = Streams(services)
    app = FastAPI(
        title="Taximeter",
        version=_version(),
        description=_ABOUT,
        openapi_tags=_TAGS,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.services = services
    app.state.streams = streams
    for router in ROUTERS:
        # Whoever probes may add what it likes.
        app.include_router(router, dependencies=[] if router is health.router else [Depends(no_parameters)])
    app.add_route("/docs", docs_page.page, include_in_schema=False)
    dashboard_page.register(app)
    pages.register(app, origins_of(services.settings.embed_origins))
    refusing.register(app)
    _complete(app)
    app.add_middleware(Limits)
    app.add_middleware(RequestLog, metrics=services.metrics)
    return app


def _complete(app: FastAPI) -> None:
    """Adds to the document what no route's model brings: the problem, which all of them answer with."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = made()
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            problem = ProblemModel.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(problem.pop("$defs", {}))
            schemas[ProblemModel.__name__] = problem
        return app.openapi_schema or document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _version() -> str:
    try:
        return version("taximeter")
    except PackageNotFoundError:
        return "0"
