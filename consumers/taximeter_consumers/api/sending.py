"""One event into the log, or the problem why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taximeter_consumers.api.problems import Problem, of_outage
from taximeter_schemas.errors import Fenced, Poison, Retryable

if TYPE_CHECKING:
    from taximeter_consumers.api.services import Services
    from taximeter_schemas.event import MeterEvent


def send_one(services: Services, event: MeterEvent) -> None:
    """Returns once all in-sync replicas have it. Raises the problem, or Misconfigured."""
    (error,) = services.sender.send([event])
    if isinstance(error, Retryable | Fenced):
        problem = of_outage(Retryable(str(error)))
        raise Problem(
            "unavailable",
            "send it again, with the same Idempotency-Key: whether Kafka has it is not known",
            {"eventId": str(event.event_id)},
            problem.headers,
        ) from error
    if isinstance(error, Poison):
        raise Problem("invalid", "the event is too large for the log; shorten its texts") from error
    if error is not None:
        raise error
