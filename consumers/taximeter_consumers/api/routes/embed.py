"""Tokens for the embedded usage page, and what that page asks for."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Security
from fastapi.security import APIKeyHeader

from taximeter_consumers.api.access import Reader, Using
from taximeter_consumers.api.embed.pages import PAGE
from taximeter_consumers.api.embed.tokens import EmbedToken, Refusal, signed, verified
from taximeter_consumers.api.models.embed import EmbedUsage, TokenAsked, TokenMade
from taximeter_consumers.api.problem_docs import refusals
from taximeter_consumers.api.problems import Problem
from taximeter_consumers.api.routes.reservations import the_account
from taximeter_consumers.api.routes.stream import EVENTS, Open
from taximeter_consumers.api.stream.admission import Door
from taximeter_consumers.api.stream.looking import Look
from taximeter_consumers.api.stream.response import EventStream
from taximeter_consumers.api.stream.streams import holds
from taximeter_consumers.api.stream.watched import Watched

router = APIRouter(tags=["embedding"])
_shown = APIKeyHeader(
    name="Authorization", auto_error=False, scheme_name="embed", description="`Authorization: Embed <token>`"
)
_SCHEME: Final = "embed "
_ASK: Final = {"WWW-Authenticate": 'Embed realm="taximeter"'}
_REFUSED: Final = {
    Refusal.WRONG: Problem("no-token", "send `Authorization: Embed <token>` of POST /v1/embed-tokens", headers=_ASK),
    Refusal.EXPIRED: Problem("token-expired", "ask for a new token and load the page again", headers=_ASK),
}


def the_token(services: Using, shown: Annotated[str | None, Security(_shown)]) -> EmbedToken:
    """The token of a request. Raises no-token and token-expired."""
    text = (shown or "").strip()
    secrets = services.settings.embed_secrets
    if not secrets or not text.lower().startswith(_SCHEME):
        raise _REFUSED[Refusal.WRONG]
    found = verified(text[len(_SCHEME) :].strip(), secrets, services.now())
    if isinstance(found, Refusal):
        raise _REFUSED[found]
    if found.key_id and not holds(services, found.key_id):
        raise _REFUSED[Refusal.WRONG]
    return found


Shown = Annotated[EmbedToken, Depends(the_token)]


@router.post(
    "/v1/embed-tokens",
    operation_id="makeEmbedToken",
    summary="A token for the embedded usage page",
    status_code=201,
    responses=refusals("not-found", "unsupported-media-type"),
)
def make_embed_token(asked: TokenAsked, caller: Reader, services: Using) -> TokenMade:
    """Signs a token that shows the usage of an account, or of one user of it, and nothing else: no cost, no names.

    Put `path` into an iframe's `src`. A token ends by itself, and with the key that asked for it. 404 where the
    operator has not set `TAXIMETER_API_EMBED_SECRET`.
    """
    account = the_account(caller, asked.account_id)
    secrets = services.settings.embed_secrets
    if not secrets:
        raise Problem("not-found", "embedding is switched off here; the operator sets TAXIMETER_API_EMBED_SECRET")
    ends = services.now().replace(microsecond=0) + timedelta(seconds=asked.ttl_seconds)
    if caller.key.expires_at is not None:
        ends = min(ends, caller.key.expires_at)
    text = signed(EmbedToken(account, asked.user_id or "", ends, caller.key.key_id), secrets[0])
    return TokenMade(token=text, expires_at=ends, path=f"{PAGE}#token={text}")


@router.get(
    "/embed/usage.json", operation_id="readEmbeddedUsage", summary="What the page shows", responses=refusals("no-token")
)
def read_embedded_usage(token: Shown, services: Using) -> EmbedUsage:
    """The tokens of this billing month, of the account or the user of the token."""
    return EmbedUsage(
        **Look(services, _watched(token)).bar().model_dump(),
        account_id=token.account_id,
        user_id=token.user_id or None,
        expires_at=token.expires_at,
    )


@router.get(
    "/embed/stream",
    operation_id="streamEmbeddedUsage",
    summary="The same as it changes",
    status_code=200,
    response_class=EventStream,
    responses={**refusals("no-token", "too-many-requests"), **EVENTS},
)
async def stream_embedded_usage(token: Shown, services: Using, streams: Open) -> EventStream:
    """Server-sent events: `usage` at once and whenever it changes, and `trouble`. Ends when the token does."""
    # Tokens of one account share what its pages may have open.
    name = hashlib.sha256(token.account_id.encode()).hexdigest()[:16]
    door = Door(f"page {name}", services.settings.embed_streams, token.key_id, token.expires_at.timestamp())
    return EventStream(streams, streams.open(_watched(token), door), services)


def _watched(token: EmbedToken) -> Watched:
    return Watched(token.account_id, token.user_id, is_bar=True)
