"""`POST /v1/events` and `POST /v1/usage`: what was used, from executors in any language and from other services.

202 is said when all in-sync replicas of Kafka have the events, and not before. A crash of the API loses nothing that
was answered so. What was not answered is sent again: an event's id makes it count once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Body, Response

from taximeter_consumers.api.access import IdempotencyKey, Ingester, Using
from taximeter_consumers.api.intake import Rights, Wrong, judged
from taximeter_consumers.api.keys import Scope
from taximeter_consumers.api.models.events import EXAMPLES, Batch, BatchAnswer, EventResult, Fate
from taximeter_consumers.api.models.usage_sent import UsageAccepted, UsageSent
from taximeter_consumers.api.problem_docs import refusals
from taximeter_consumers.api.problems import RETRY_SECONDS, Problem
from taximeter_consumers.api.sending import send_one
from taximeter_consumers.api.usage_event import event_of, id_of_key
from taximeter_schemas.errors import Misconfigured, Poison
from taximeter_schemas.event import MeterEvent
from taximeter_schemas.uuid7 import new_event_id
from taximeter_schemas.words import Context

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taximeter_schemas.errors import TaximeterError

router = APIRouter(prefix="/v1", tags=["ingest"])
_SOME: dict[int | str, dict[str, Any]] = {
    207: {"model": BatchAnswer, "description": "Some were refused; the others are there"}
}


@router.post(
    "/events",
    operation_id="sendEvents",
    summary="A batch of events",
    status_code=202,
    response_model=BatchAnswer,
    responses={**refusals("unsupported-media-type"), **_SOME},
)
def send_events(
    sent: Annotated[Batch, Body(openapi_examples=EXAMPLES)],
    caller: Ingester,
    services: Using,
    response: Response,
) -> BatchAnswer:
    """Puts a batch of at most 1,000 MeterEvents, or CloudEvents that hold them, into the log.

    202: Kafka has all of them. 207: it has those that `results` calls accepted; the others are to be corrected.
    422: none can be accepted. 503: it is not known of all whether Kafka has them; send the same batch again.
    """
    rights = Rights("" if caller.sees_all else caller.key.account_id, adjusts=caller.key.may(Scope.ADMIN))
    verdicts = judged(sent, rights)
    good = [one for one in verdicts if isinstance(one, MeterEvent)]
    told = iter(services.sender.send(good) if good else [])
    results = [
        _refused(index, one) if isinstance(one, Wrong) else _sent(index, one, next(told))
        for index, one in enumerate(verdicts)
    ]
    fates = [result.status for result in results]
    _all_known(results)
    if Fate.ACCEPTED not in fates:
        raise Problem("invalid", f"correct the events: {results[0].problem}", {"results": _plain(results)})
    if Fate.REFUSED in fates:
        response.status_code = 207
    return BatchAnswer(accepted=fates.count(Fate.ACCEPTED), refused=fates.count(Fate.REFUSED), results=results)


@router.post(
    "/usage",
    operation_id="sendUsage",
    summary="One use of a model",
    status_code=202,
    responses=refusals("not-found", "unsupported-media-type"),
)
def send_usage(
    sent: UsageSent, caller: Ingester, services: Using, idempotency_key: IdempotencyKey = None
) -> UsageAccepted:
    """Puts one use into the log: of a customer, or the system's own.

    With an Idempotency-Key a repeat is the same event. A key that is no UUIDv7 needs `occurredAt`, so that the repeat
    has the same clock. Of two with one key the first counts.
    """
    account = caller.account(sent.account_id)
    if sent.context is Context.CUSTOMER and not account and sent.external_id is None:
        raise Problem("invalid", "a customer's use needs an accountId or an externalId")
    event_id = id_of_key(idempotency_key, account, sent.occurred_at) if idempotency_key else new_event_id()
    if event_id is None:
        raise Problem("invalid", "with an Idempotency-Key give occurredAt of 2020 or later, or let it be a UUIDv7")
    verdict = event_of(sent, account, event_id, services.now())
    send_one(services, verdict)
    total = verdict.ai.total_tokens if verdict.ai else 0
    return UsageAccepted(
        event_id=event_id, account_id=account, transaction_id=verdict.transaction_id, total_tokens=total
    )


def _refused(index: int, wrong: Wrong) -> EventResult:
    return EventResult(index=index, event_id=wrong.event_id, status=Fate.REFUSED, problem=wrong.problem)


def _sent(index: int, event: MeterEvent, error: TaximeterError | None) -> EventResult:
    if error is None:
        return EventResult(index=index, event_id=event.event_id, status=Fate.ACCEPTED)
    if isinstance(error, Poison):
        problem = "it is too large for the log; shorten its texts"
        return EventResult(index=index, event_id=event.event_id, status=Fate.REFUSED, problem=problem)
    if isinstance(error, Misconfigured):
        raise error
    problem = "whether Kafka has it is not known; send it again"
    return EventResult(index=index, event_id=event.event_id, status=Fate.UNACKNOWLEDGED, problem=problem)


def _all_known(results: Sequence[EventResult]) -> None:
    if any(result.status is Fate.UNACKNOWLEDGED for result in results):
        raise Problem(
            "unavailable",
            "send the same batch again: of some events it is not known whether Kafka has them, and none counts twice",
            {"results": _plain(results)},
            {"Retry-After": str(RETRY_SECONDS)},
        )


def _plain(results: Sequence[EventResult]) -> list[dict[str, Any]]:
    return [result.model_dump(mode="json", by_alias=True) for result in results]
