"""Tokens of embedded pages, and what such a page is told."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from pydantic import ConfigDict, Field

from taximeter_consumers.api.embed.tokens import LONGEST_SECONDS
from taximeter_consumers.api.inputs import Name
from taximeter_consumers.api.models.account import AccountUsage
from taximeter_consumers.api.models.wire import Asked, Instant, Wire

_EXAMPLE: Final[dict[str, Any]] = {"accountId": "acme", "userId": "ada", "ttlSeconds": 3600}


class TokenAsked(Asked):
    """Who is shown, and for how long."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    account_id: Name | None = Field(None, description="For an account's key its own; operators name it")
    user_id: Name | None = Field(None, description="Shows this user's own use and limit instead of the account's")
    ttl_seconds: int = Field(3_600, ge=1, le=LONGEST_SECONDS)


class TokenMade(Wire):
    """A token. It is a secret of whoever may see the page."""

    token: str
    expires_at: Instant
    path: str = Field(description="Of the page, with the token in the fragment", examples=["/embed/usage#token=..."])


class EmbedUsage(AccountUsage):
    """What the page shows."""

    account_id: str
    user_id: str | None
    expires_at: datetime = Field(description="When the token is over, UTC")
