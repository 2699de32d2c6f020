"""Whether the broker keeps what a transaction promises: what is rolled back is never seen.

Some brokers take every call of a transaction and show its records all the same. On such a one a crash could leave state
and offset apart, so the service does not start.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from taximeter_consumers.kafka_errors import translate
from taximeter_consumers.quota.service import clients
from taximeter_schemas.errors import Misconfigured, Retryable

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

    from taximeter_schemas.settings import KafkaSettings, TopicSettings

_SECONDS: Final = 15.0
_POLLS: Final = 30
PROBE: Final = "probe"
PROBED: Final = 0
"""The partition of the state that it looks at."""
_MEND: Final = (
    "use Apache Kafka 2.5 or later: with Java 17 and Maven installed `taximeter up` starts it, or set"
    " KAFKA_BOOTSTRAP_SERVERS to your own"
)


def probe_of(group: str) -> str:
    """The transactional id of a group's probes: one for all, so that each ends what a broker has forgotten of another.

    Of two services that start at once the first is fenced, and tries again."""
    return f"{group}-{PROBE}"


def require_transactions(kafka: KafkaSettings, topics: TopicSettings, group: str) -> None:
    """Writes a deletion of nothing into the state, rolls it back, and looks whether it is there.

    Raises Misconfigured where the broker does not keep its word, else Retryable or Fenced.
    """
    mark = secrets.token_hex(8)
    try:
        offset = _rolled_back(kafka, topics.quota_state, probe_of(group), mark)
        with closing(clients.reader(kafka, f"{group}-{PROBE}")) as reader:
            reader.assign([TopicPartition(topics.quota_state, PROBED, offset)])
            shown = _is_shown(reader, mark.encode())
    except KafkaException as error:
        failure = translate(error.args[0])
        if error.args[0].name() in {"_UNSUPPORTED_FEATURE", "UNSUPPORTED_VERSION"}:
            failure = Misconfigured("this broker has no transactions, which quotas need", mend=_MEND)
        raise failure from error
    if shown:
        raise Misconfigured(
            "this broker shows records of transactions that were rolled back, so quotas could not be trusted on it",
            mend=_MEND,
        )


def _rolled_back(kafka: KafkaSettings, topic: str, transactional_id: str, mark: str) -> int:
    """The offset of a record that is rolled back, under the key `probe`."""
    producer = clients.transactional(kafka, transactional_id)
    sent: list[KafkaError | int | None] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        sent.append(error if error is not None else message.offset())

    producer.init_transactions(_SECONDS)
    producer.begin_transaction()
    producer.produce(
        topic, key=PROBE.encode(), value=None, partition=PROBED, headers={"mark": mark.encode()}, on_delivery=delivered
    )
    with _told_plainly():
        producer.flush(_SECONDS)
        producer.abort_transaction(_SECONDS)
    if not sent or not isinstance(sent[0], int):
        raise Retryable("Kafka does not take a record of the state")
    return sent[0]


@contextmanager
def _told_plainly() -> Iterator[None]:
    """When another service's look fences this one, the client raises that while it calls back, and Python says that a
    callback went wrong, with the reason as its cause."""
    try:
        yield
    except SystemError as error:
        if isinstance(error.__cause__, KafkaException):
            raise error.__cause__ from None
        raise


def _is_shown(reader: Consumer, mark: bytes) -> bool:
    for _ in range(_POLLS):
        message = reader.poll(_SECONDS / _POLLS)
        if message is None:
            continue
        error = message.error()
        if error is None:
            if ("mark", mark) in (message.headers() or []):
                return True
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own codes begin so
            return False
        else:
            raise translate(error)
    return False
