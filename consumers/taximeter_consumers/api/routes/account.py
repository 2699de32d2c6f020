"""`GET /api/account/usage` and `POST /api/test/simulate-tokens`: the usage bar, and what moves it in tests."""

from __future__ import annotations

from math import ceil
from typing import Annotated

import structlog
from fastapi import APIRouter, Query, Request

from taximeter_consumers.api.access import Admin, Reader, Using
from taximeter_consumers.api.account_view import usage_bar
from taximeter_consumers.api.charging import Charge, charge
from taximeter_consumers.api.models.account import AccountAsked, AccountUsage, SimulateAsked, Simulated
from taximeter_consumers.api.problem_docs import refusals
from taximeter_consumers.api.problems import Problem
from taximeter_consumers.api.routes.reservations import the_account
from taximeter_schemas.event import Quality

router = APIRouter(prefix="/api", tags=["account"])
_log = structlog.get_logger()


@router.get("/account/usage", operation_id="readAccountUsage", summary="The usage bar", responses=refusals("not-found"))
def read_account_usage(chosen: Annotated[AccountAsked, Query()], caller: Reader, services: Using) -> AccountUsage:
    """The tokens of this billing month: used, the limit, what is left, and how many percent that is."""
    return usage_bar(services, the_account(caller, chosen.account_id))


@router.post(
    "/test/simulate-tokens",
    operation_id="simulateTokens",
    summary="Tokens that nobody used",
    responses=refusals("not-found", "too-many-requests", "unsupported-media-type"),
)
def simulate_tokens(asked: SimulateAsked, caller: Admin, services: Using, request: Request) -> Simulated:
    """Charges tokens to an account as if they had been used: for tests and demos. 404 where the operator has not
    switched it on (`TAXIMETER_API_SIMULATE`). Each call stands in the log; its event has the tag `simulated`."""
    if not services.settings.simulate:
        raise Problem("not-found", "simulating is switched off here; the operator sets TAXIMETER_API_SIMULATE")
    account = the_account(caller, asked.account_id)
    wait = services.simulations.wait_of(caller.key.key_id)
    told = {
        "account_id": account,
        "tokens": asked.tokens,
        "key_id": caller.key.key_id,
        "request_id": request.scope["request_id"],
    }
    if wait:
        _log.warning("tokens simulated", **told, outcome="too often")
        raise Problem(
            "too-many-requests", "simulate less often: a key has a number of calls a minute",
            headers={"Retry-After": str(ceil(wait))},
        )  # fmt: skip
    wanted = Charge(
        account, asked.user_id or "", asked.provider, asked.model, asked.tokens, 0,
        quality=Quality.ESTIMATED, tags={"simulated": "true"},
    )  # fmt: skip
    found = charge(services, wanted)
    _log.warning("tokens simulated", **told, outcome="charged" if found.done else "refused", reason=found.reason)
    return Simulated(
        ok=found.done,
        message="charged" if found.done else found.reason or "not charged",
        tokens_added=asked.tokens if found.done else 0,
        summary=usage_bar(services, account),
    )
