"""What becomes of a producer that can do nothing more."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from taximeter_consumers.api.event_sender import _Waiting
from taximeter_schemas.errors import Fenced, Retryable


@pytest.mark.parametrize(
    ("error", "is_fatal"),
    [
        (KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, "lost", True), True),
        (KafkaError(KafkaError._FATAL), True),
        (KafkaError(KafkaError._MSG_TIMED_OUT), False),
    ],
)
def test_a_producer_that_is_fatal_is_known_by_either_word(error: KafkaError, is_fatal: bool) -> None:
    """The error that ended it says so; what is sent afterwards is refused by that name. Another one is made then."""
    waiting = _Waiting(1)
    waiting.report(0, error)
    assert waiting.is_over
    assert waiting.is_fatal == is_fatal
    assert isinstance(waiting.told[0], Retryable | Fenced)
