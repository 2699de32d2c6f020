"""The caller's own key, without its secret."""

from __future__ import annotations

from pydantic import Field

from taximeter_consumers.api.keys import Scope
from taximeter_consumers.api.models.wire import Instant, Wire


class KeyAnswer(Wire):
    """Whose key it is and what it may do."""

    key_id: str = Field(examples=["3f9c1b7a5e2d4c60"])
    name: str = Field(description="Who or what uses it", examples=["dashboard"])
    account_id: str | None = Field(description="The only account that it sees; null: an operator's, all of them")
    scopes: list[Scope] = Field(description="What it may do; admin may do everything")
    expires_at: Instant | None
