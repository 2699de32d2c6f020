"""`POST /worker/charge-tokens`: what workflow workers call after each use of a model.

Whatever goes wrong behind it is {"success": false} and a line in the log, never a 5xx: a worker goes on or stops by
that word alone.
"""

from __future__ import annotations

import hashlib
import hmac
from decimal import ROUND_CEILING, Decimal
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Request, Security
from fastapi.security import APIKeyHeader

from taximeter_consumers.api.access import IdempotencyKey, Using
from taximeter_consumers.api.charging import Charge, Charging, charge
from taximeter_consumers.api.models.account import ChargeAsked, Charged
from taximeter_consumers.api.problem_docs import refusals
from taximeter_consumers.api.problems import Problem

router = APIRouter(prefix="/worker", tags=["ingest"])
_log = structlog.get_logger()
_header = APIKeyHeader(
    name="INTERNAL_API_KEY", auto_error=False, scheme_name="worker", description="The deployment's own secret"
)
_hyphened = APIKeyHeader(
    name="X-Internal-Api-Key",
    auto_error=False,
    scheme_name="workerHyphened",
    description="The same, for proxies that drop names with an underscore",
)


def the_worker(
    services: Using, header: Annotated[str | None, Security(_header)], other: Annotated[str | None, Security(_hyphened)]
) -> None:
    """Raises the problem no-key but for the deployment's own secret. Takes equally long whatever is sent."""
    wanted = services.settings.internal_key
    is_right = hmac.compare_digest(_hashed(header or other or ""), _hashed(wanted.get_secret_value() if wanted else ""))
    if wanted is None or not wanted.get_secret_value() or not is_right:
        services.metrics.refused_keys.inc()
        raise Problem(
            "no-key",
            "send the deployment's secret as INTERNAL_API_KEY; the operator sets it for the API by the same name",
            headers={"WWW-Authenticate": 'ApiKey realm="taximeter"'},
        )


@router.post(
    "/charge-tokens",
    operation_id="chargeTokens",
    summary="Charge tokens that were used",
    responses=refusals("unsupported-media-type"),
    dependencies=[Depends(the_worker)],
)
def charge_tokens(
    asked: ChargeAsked, services: Using, request: Request, idempotency_key: IdempotencyKey = None
) -> Charged:
    """Charges a user's account: true once Kafka has the use and the limits allow it. False where limits are exceeded,
    and where it cannot be known or stored now; nothing is charged then. With an Idempotency-Key a repeat charges once.
    """
    account = services.settings.charge_account_id or asked.user_id
    wanted = Charge(
        account,
        asked.user_id,
        asked.ai_system,
        asked.model,
        _whole(asked.input_tokens),
        _whole(asked.output_tokens),
        workflow_id=asked.flow_id,
        key=idempotency_key,
    )
    try:
        found = charge(services, wanted)
    except Exception as error:  # noqa: BLE001 - a worker is told in one word, whatever it is
        found = Charging(done=False, reason=f"{type(error).__name__}: {error}")
    if not found.done:
        _log.warning("tokens not charged", reason=found.reason, request_id=request.scope["request_id"])
    return Charged(success=found.done)


def _whole(tokens: Decimal) -> int:
    return int(tokens.to_integral_value(ROUND_CEILING))


def _hashed(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
