"""GET /v1/stream as an iterator that connects again by itself until it is left, or the client is closed.

Leave a loop over it by `break`; a stream that nobody reads any more is closed with its generator.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx

from taximeter.client.answers.live import StreamEvent
from taximeter.client.call import Call, Reply, get
from taximeter.client.conversation import Lost
from taximeter.client.problems import ApiProblem, problem_of
from taximeter.client.sse import Following
from taximeter.client.transport import AsyncTransport, Transport, headers_of, lost, request_of

# The API says something every 15 s, if only that it lives.
_SILENCE_SECONDS = 45.0


def stream_call(*, account_id: str | None = None, user_id: str | None = None) -> Call[None]:
    """Usage, quotas, today's totals and freshness, as they change."""
    return get("/v1/stream", lambda _: None, {"account_id": account_id, "user_id": user_id})


def stream(transport: Transport, call: Call[None]) -> Iterator[StreamEvent]:
    """The events. Raises ApiProblem for a refusal, or where nothing was ever heard."""
    following = Following(call, transport.terms.patience)
    while not transport.is_closed:
        ended: ApiProblem | Lost | None = None
        try:
            with transport.http.stream(**_request(transport, following)) as response:
                if response.status_code >= 400:
                    ended = problem_of(Reply(response.status_code, headers_of(response), response.read()))
                else:
                    for chunk in response.iter_bytes():
                        yield from following.events(chunk)
        except httpx.HTTPError as error:
            ended = lost(error)
        if not transport.is_closed:
            transport.wait(following.wait(ended))


async def astream(transport: AsyncTransport, call: Call[None]) -> AsyncIterator[StreamEvent]:
    """The same for `async for`."""
    following = Following(call, transport.terms.patience)
    while not transport.is_closed:
        ended: ApiProblem | Lost | None = None
        try:
            async with transport.http.stream(**_request(transport, following)) as response:
                if response.status_code >= 400:
                    ended = problem_of(Reply(response.status_code, headers_of(response), await response.aread()))
                else:
                    async for chunk in response.aiter_bytes():
                        for event in following.events(chunk):
                            yield event
        except httpx.HTTPError as error:
            ended = lost(error)
        if not transport.is_closed:
            await transport.wait(following.wait(ended))


def _request(transport: Transport | AsyncTransport, following: Following) -> dict[str, Any]:
    seconds = transport.terms.timeout
    patience = httpx.Timeout(seconds, connect=min(seconds, 5.0), read=max(seconds, _SILENCE_SECONDS))
    return {**request_of(transport.terms, following.request()), "timeout": patience}
