"""`/healthz`, `/readyz`, `/metrics`: for operators' probes, without a key; they say nothing of any account."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Response

from taximeter_consumers.api.access import Using
from taximeter_consumers.api.metrics import CONTENT_TYPE
from taximeter_consumers.api.models.health import Alive, Ready
from taximeter_consumers.api.readiness import Verdict
from taximeter_consumers.api.reads.known_calls import known_calls
from taximeter_consumers.api.services import Services
from taximeter_schemas.errors import TaximeterError

router = APIRouter(tags=["operations"])
_NOT_READY: Final[dict[int | str, dict[str, Any]]] = {503: {"model": Ready, "description": "Not ready, and why"}}


@router.get("/healthz", operation_id="isAlive", summary="The process lives")
def is_alive() -> Alive:
    """Answers as long as the process does; it looks at nothing else."""
    return Alive()


@router.get("/readyz", operation_id="isReady", summary="Servers answer, and what waits moves", responses=_NOT_READY)
def is_ready(services: Using, response: Response) -> Ready:
    """503 where ClickHouse or Kafka is away, the rollups are far behind, or records wait and nothing commits them."""
    found = _verdict(services)
    response.status_code = 200 if found.is_ready else 503
    facts = found.facts
    return Ready(
        is_ready=found.is_ready,
        reasons=list(found.reasons),
        clickhouse=facts.clickhouse,
        kafka=(facts.unread is not None) if facts.has_kafka else None,
        rollup_lag_seconds=facts.rollup_lag_seconds,
        sink_unread_records=facts.unread.records if facts.unread else None,
        last_stored_seconds=facts.last_stored_seconds,
    )


@router.get(
    "/metrics",
    operation_id="readMetrics",
    summary="For Prometheus",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus' text format"}
    },
)
def read_metrics(services: Using) -> Response:
    """A closed list of metrics in Prometheus' text format. What cannot be looked at is not a number."""
    found = _verdict(services)
    services.metrics.saw_calls(_calls(services) if found.facts.clickhouse else None)
    return Response(services.metrics.text(), media_type=CONTENT_TYPE)


def _calls(services: Services) -> dict[str, int] | None:
    try:
        return services.calls.get("all", lambda: known_calls(services.reads.get()))
    except TaximeterError:
        return None


def _verdict(services: Services) -> Verdict:
    found = services.readiness.verdict()
    services.metrics.saw(found)
    return found
