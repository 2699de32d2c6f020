"""The usage bar, and what opens it in a page of one's own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Unpack

from taximeter.client.answers.account import AccountUsage, EmbedToken, Simulated
from taximeter.client.call import Call, as_model, get, post

if TYPE_CHECKING:
    from taximeter.client.asked import SimulateWords


def read_account_usage(*, account_id: str | None = None) -> Call[AccountUsage]:
    """The tokens of this billing month: used, the limit, what is left, and how many percent that is."""
    return get("/api/account/usage", as_model(AccountUsage), {"account_id": account_id})


def simulate_tokens(tokens: int, **words: Unpack[SimulateWords]) -> Call[Simulated]:
    """Charges tokens that nobody used, for tests and demos. Raises NotFound where that is switched off."""
    return post("/api/test/simulate-tokens", as_model(Simulated), {"tokens": tokens, **words})


def embed_token(
    *, account_id: str | None = None, user_id: str | None = None, ttl_seconds: int | None = None
) -> Call[EmbedToken]:
    """A token that opens the embedded usage page of an account for `ttl_seconds`, and nothing else."""
    words = {"account_id": account_id, "user_id": user_id, "ttl_seconds": ttl_seconds}
    return replace(post("/v1/embed-tokens", as_model(EmbedToken), words), may_repeat=True)
