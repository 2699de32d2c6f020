"""`GET /v1/stream`: usage, quotas and totals as they change."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request

from taximeter_consumers.api.access import Reader, Using
from taximeter_consumers.api.models.stream import StreamAsked
from taximeter_consumers.api.problem_docs import refusals
from taximeter_consumers.api.stream.admission import Door
from taximeter_consumers.api.stream.frames import MEDIA_TYPE
from taximeter_consumers.api.stream.response import EventStream
from taximeter_consumers.api.stream.streams import Streams
from taximeter_consumers.api.stream.watched import Watched

router = APIRouter(prefix="/v1", tags=["account"])
_EXAMPLE: Final = (
    'retry: 2000\n\nid: 1\nevent: usage\ndata: {"month":"2026-11","used":1250000,"limit":2600000,"remaining":1350000,'
    '"percent":48.07,"addOn":100000,"plan":"starter","accountId":"acme"}\n\n'
)
EVENTS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Server-sent events, without end",
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}, "example": _EXAMPLE}},
    }
}


def the_streams(request: Request) -> Streams:
    """All streams of this application."""
    found: Streams = request.app.state.streams
    return found


Open = Annotated[Streams, Depends(the_streams)]


@router.get(
    "/stream",
    operation_id="stream",
    summary="Usage and quotas as they change",
    status_code=200,
    response_class=EventStream,
    responses={**refusals("not-found", "too-many-requests"), **EVENTS},
)
async def stream(
    chosen: Annotated[StreamAsked, Query()], caller: Reader, services: Using, streams: Open
) -> EventStream:
    """Server-sent events: `usage` (the usage bar), `quota`, `totals` (of today, UTC), `freshness`, and `trouble`.

    Each is sent at once and then whenever it changes, at most once a second; each event is the whole of what it tells,
    so a lost connection loses nothing. A key has so many streams at a time; a revoked one ends its streams.
    """
    account = caller.account(chosen.account_id)
    door = Door(f"key {caller.key.key_id}", services.settings.streams_per_key, caller.key.key_id)
    reader = streams.open(Watched(account, chosen.user_id or ""), door)
    return EventStream(streams, reader, services)
