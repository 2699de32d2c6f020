"""What an answer means to the caller (go on, do not do it, try later, ask the operator), with the sentence why."""

from __future__ import annotations

from taximeter.quota.line import QuotaUnavailable
from taximeter_schemas.errors import Denied, Misconfigured
from taximeter_schemas.quota.answers import Answer, Status
from taximeter_schemas.quota.wording import explained


def or_raise(answer: Answer) -> Answer:
    """The answer, if it says yes.

    Raises Denied with the sentence that names level, limit, what is left and when it resets; QuotaUnavailable where
    what is used is not known; Misconfigured for a command that makes no sense as things are.
    """
    match answer.status:
        case Status.DENIED:
            raise Denied(sentence(answer))
        case Status.UNAVAILABLE:
            raise QuotaUnavailable(sentence(answer))
        case Status.REFUSED | Status.UNKNOWN_HOLD | Status.MOVED:
            raise Misconfigured(sentence(answer), mend="look at the hold and the amounts that were named")
    return answer


def sentence(answer: Answer) -> str:
    """Why an answer says what it says, for people."""
    if answer.refused_by is not None:
        return explained(answer.refused_by)
    if answer.status is Status.UNKNOWN_HOLD:
        return answer.reason or f"there is no hold {answer.hold_id}: it was never made, or it was closed long ago"
    if answer.status is Status.UNAVAILABLE:
        return answer.reason or "the quota service cannot say now what is used, because ClickHouse does not answer it"
    return answer.reason or f"the quota service answered {answer.status}"
