"""What to do about each reason of a dead letter, for the people who have to. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_BYTES: Final = (
    "the bytes are damaged and hold no whole event: repair what writes to the topic; if the event is known from"
    " elsewhere, put it into an export as `event`, else `taximeter dlq drop`"
)
_VALUES: Final = "export it, correct the event, then `taximeter dlq redrive --from FILE`"
MENDS: Final[Mapping[str, str]] = {
    "unknown_schema": "register the schema, or upgrade to the version that has it, then `taximeter dlq redrive`",
    "unsupported_schema": "upgrade the sink to a version that reads this schema, then `taximeter dlq redrive`",
    "refused": "`taximeter migrate`, and look at ClickHouse's log, then `taximeter dlq redrive`",
    **dict.fromkeys(("empty", "too_short", "not_framed", "truncated", "trailing_bytes", "malformed"), _BYTES),
    **dict.fromkeys(("invalid", "not_uuid7", "id_time", "occurred_at", "text", "negative"), _VALUES),
}
"""What to do about a reason."""
OTHERWISE: Final = "it was not written by a sink of this version: look who writes to the dead-letter topic"


def mend_of(reason: str) -> str:
    """What to do about a reason."""
    return MENDS.get(reason, OTHERWISE)
