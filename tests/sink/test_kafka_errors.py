"""librdkafka's errors in our tree: every name that the client knows stands in one table."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from taximeter_consumers import kafka_errors
from taximeter_consumers.kafka_errors import ClientEnded, translate
from taximeter_schemas.errors import Fenced, Misconfigured, Poison, Retryable, TaximeterError

_KNOWN = {name: code for name, code in vars(KafkaError).items() if isinstance(code, int)}


def test_every_error_of_the_client_is_in_exactly_one_table() -> None:
    """A new version of the client that brings an error must be thought about: put it into a table."""
    tables = (
        kafka_errors.FENCED,
        frozenset(kafka_errors.ENDED),
        kafka_errors.POISON,
        frozenset(kafka_errors.MISCONFIGURED),
        frozenset(kafka_errors.HINTS),
        kafka_errors.PASSING,
        kafka_errors.FOREIGN,
    )
    assert {name for name in _KNOWN if sum(name in table for table in tables) != 1} == set()


def test_an_error_tells_the_name_that_the_tables_use() -> None:
    """The tables are by name, so that they hold for every version of the client."""
    assert {name for name, code in _KNOWN.items() if KafkaError(code).name() != name} == set()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ILLEGAL_GENERATION", Fenced),
        ("_ASSIGNMENT_LOST", Fenced),
        ("FENCED_INSTANCE_ID", ClientEnded),
        ("_FATAL", ClientEnded),
        ("_TRANSPORT", Retryable),
        ("_ALL_BROKERS_DOWN", Retryable),
        ("REBALANCE_IN_PROGRESS", Retryable),
        ("UNKNOWN_TOPIC_OR_PART", Misconfigured),
        ("SASL_AUTHENTICATION_FAILED", Misconfigured),
        ("MSG_SIZE_TOO_LARGE", Misconfigured),
        ("INVALID_RECORD", Poison),
    ],
)
def test_an_error_is_named_by_what_to_do(name: str, kind: type[TaximeterError]) -> None:
    """One example of each decision."""
    assert type(translate(KafkaError(_KNOWN[name]))) is kind
