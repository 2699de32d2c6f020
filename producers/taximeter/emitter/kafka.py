"""The Kafka transport: an idempotent producer that waits for all in-sync replicas.

A fatal error (the broker fenced this producer, or lost track of its sequence) ends the producer: what it had not
delivered is reported as failed, so that the worker sends it again through a new one. The event's id makes that safe.
A broker that cannot be reached delays, and nothing else: the producer is made at the first send. One that has delivered
nothing for a minute while messages timed out is replaced, too, which costs nothing if the broker is away: librdkafka's
may stand still after a broker came back (its issue 4976).
"""

from __future__ import annotations

import ctypes
import logging
import time
from collections.abc import Mapping
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from taximeter.emitter.transport import OnDelivery
from taximeter.faults import Faults
from taximeter_schemas.errors import Fenced, Full, Misconfigured, Poison, Retryable, TaximeterError
from taximeter_schemas.settings import KafkaSettings

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message, Producer

CONTENT_TYPE = "application/vnd.taximeter.meter-event+avro"

# Ours unless KAFKA_OPTIONS says otherwise.
_DEFAULTS: Mapping[str, str | int | bool] = {
    "client.id": "taximeter",
    "enable.idempotence": True,
    "acks": "all",
    "compression.type": "lz4",
    "linger.ms": 10,
    "message.timeout.ms": 30_000,
    "log.connection.close": False,
}

_PURGE_SECONDS = 1.0
_SILENT_SECONDS = 60.0

# librdkafka's names of errors, and what they mean to the worker. All others are Retryable.
ERRORS: Mapping[str, type[TaximeterError]] = {
    "MSG_SIZE_TOO_LARGE": Poison,
    "INVALID_MSG": Poison,
    "INVALID_RECORD": Poison,
    "_FATAL": Fenced,
    "_FENCED": Fenced,
    "PRODUCER_FENCED": Fenced,
    "INVALID_PRODUCER_EPOCH": Fenced,
    "OUT_OF_ORDER_SEQUENCE_NUMBER": Fenced,
    "UNKNOWN_PRODUCER_ID": Fenced,
}


def translated(error: KafkaError) -> TaximeterError:
    """A delivery's error in our tree."""
    kind = Fenced if error.fatal() else ERRORS.get(error.name(), Retryable)
    said = f"Kafka says {error.name()}: {error.str()}"
    return Poison(error.name().lower(), said) if kind is Poison else kind(said)


class KafkaTransport:
    """Sends to one topic. Raises Misconfigured at once where librdkafka refuses the settings."""

    def __init__(self, settings: KafkaSettings, topic: str, faults: Faults) -> None:
        try:
            import confluent_kafka
        except ImportError as error:
            raise Misconfigured("confluent-kafka is not installed", mend="pip install taximeter") from error
        self._library = confluent_kafka
        self._settings = settings
        self._topic = topic
        self._faults = faults
        self._headers: list[tuple[str, str | bytes | None]] = [
            ("content-type", CONTENT_TYPE.encode()),
            ("taximeter-sdk", _version().encode()),
        ]
        self._producer: Producer | None = None
        self._broken = False
        # Since when messages time out and none is delivered.
        self._silent_since: float | None = None
        self._is_silent = False
        self._try_settings()

    def _try_settings(self) -> None:
        try:
            self._make()
        except (self._library.KafkaException, TypeError, ValueError) as error:
            raise Misconfigured(
                f"the Kafka client refuses its settings: {_reason(error)}",
                mend="look at the KAFKA_* variables; KAFKA_OPTIONS takes librdkafka's own option names",
            ) from None

    def _make(self) -> Producer:
        # librdkafka would otherwise write to the host's standard error, once for every failed connection.
        quiet = QuietLogger(self._faults)
        return self._library.Producer(
            {**_DEFAULTS, **self._settings.client_config(), "error_cb": self._on_error}, logger=quiet
        )

    def send(self, key: bytes, value: bytes, on_delivery: OnDelivery) -> None:
        """Hand one value to librdkafka. Raises Full, Retryable or Poison."""
        if self._producer is None:
            self._producer = self._make()
        try:
            self._producer.produce(
                self._topic, value=value, key=key, headers=self._headers, on_delivery=partial(self._report, on_delivery)
            )
        except BufferError as error:
            raise Full("the Kafka client's own queue is full") from error
        except self._library.KafkaException as error:
            known = translated(error.args[0])
            if isinstance(known, Fenced):
                self._broken = True
                raise Retryable(str(known)) from error
            raise known from error

    def _report(self, on_delivery: OnDelivery, error: KafkaError | None, _message: Message) -> None:
        known = None if error is None else translated(error)
        self._broken = self._broken or isinstance(known, Fenced)
        if error is None:
            self._silent_since = None
        elif error.name() == "_MSG_TIMED_OUT":
            now = time.monotonic()
            self._silent_since = now if self._silent_since is None else self._silent_since
            self._is_silent = now - self._silent_since >= _SILENT_SECONDS
        on_delivery(known)

    def _on_error(self, error: KafkaError) -> None:
        self._broken = self._broken or error.fatal()
        self._faults.say("kafka", f"Kafka at {self._settings.bootstrap_servers}: {error.str()}; events wait in memory")

    def poll(self, timeout: float) -> None:
        """Serve reports; replace the producer if it has ended."""
        if self._producer is not None:
            self._producer.poll(timeout)
            self._replace_broken()

    def flush(self, timeout: float) -> None:
        """Send what lingers."""
        if self._producer is not None:
            self._producer.flush(timeout)
            self._replace_broken()

    def _replace_broken(self) -> None:
        if self._broken:
            self._faults.say("kafka.fenced", "the Kafka producer was fenced; a new one sends what was not acknowledged")
        if self._broken or self._is_silent:
            self.close()
            self._broken, self._is_silent, self._silent_since = False, False, None

    def close(self) -> None:
        """End the producer; what it had not delivered is reported as failed."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        producer.purge()
        until = time.monotonic() + _PURGE_SECONDS
        while len(producer) and time.monotonic() < until:
            producer.poll(0.01)

    def abandon(self) -> None:
        """Leave the parent's producer alone: destroying it would wait for threads that did not come along."""
        if self._producer is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._producer))
            self._producer = None
        self._broken = False


class QuietLogger(logging.Logger):
    """Passes librdkafka's lines to our log, one a minute."""

    def __init__(self, faults: Faults) -> None:
        super().__init__("taximeter.kafka")
        self._faults = faults

    def log(self, level: int, msg: object, *args: object, **_: object) -> None:
        """Called by librdkafka, from `poll`."""
        if level >= logging.WARNING:
            self._faults.say("kafka.log", f"Kafka client: {args[-1] if args else msg}")


def _reason(error: Exception) -> str:
    first = error.args[0] if error.args else error
    return str(first.str()) if hasattr(first, "str") else str(first)


def _version() -> str:
    try:
        return version("taximeter")
    except PackageNotFoundError:
        return "0"
