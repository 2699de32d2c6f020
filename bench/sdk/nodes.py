"""One node on the caller's thread (start, one recorded model call, finish), by three means that carry the same facts.

Each is used in bursts with a pause after each, as an executor does: it waits for a model most of the time, and what is
done in the background gets its turn. All three send or export in the background.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import uuid4

from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from taximeter import Meter, MeterSettings
from taximeter.attribution import Subject
from taximeter.emitter.kafka import KafkaTransport
from taximeter.faults import Faults
from taximeter_schemas.settings import KafkaSettings
from taximeter_schemas.uuid7 import new_event_id

Burst = Callable[[int], list[int]]
"""Does so many nodes of one run, one after the other; gives nanoseconds of each."""

_SUBJECT: Subject = {
    "tags": {"team": "search"},
    "account_id": "acme",
    "user_id": "u-1",
    "project_id": "search",
    "workflow_id": "digest",
}
_RUN = {name: str(value) for name, value in _SUBJECT.items() if name != "tags"}
_TAGS = {"team": "search"}
_NODE, _TYPE = "summarise", "ai"
_PROVIDER, _MODEL, _INPUT, _OUTPUT = "openai", "gpt-4o-2024-08-06", 812, 64
_KEPT_SPANS = 20_000


class Broker(NamedTuple):
    """Where events go, and who knows their schema."""

    bootstrap_servers: str
    topic: str
    registry_url: str


class _Exporter(InMemorySpanExporter):
    """Keeps the latest spans: it is for their cost, and must not fill the memory."""

    def export(self, spans: Any) -> Any:
        if len(self.get_finished_spans()) > _KEPT_SPANS:
            self.clear()
        kept: tuple[ReadableSpan, ...] = tuple(spans)
        return super().export(kept)


@contextmanager
def metered(broker: Broker) -> Iterator[Burst]:
    """By a meter, to the broker."""
    faults = Faults()
    transport = KafkaTransport(KafkaSettings(bootstrap_servers=broker.bootstrap_servers), broker.topic, faults)
    with Meter(MeterSettings(queue_events=100_000), transport, faults=faults) as meter:

        def burst(nodes: int) -> list[int]:
            taken = []
            with meter.run(**_SUBJECT) as run:
                for number in range(nodes):
                    response_id = f"chatcmpl-{number:024}"
                    began = time.perf_counter_ns()
                    with run.node(_NODE, node_type=_TYPE) as node:
                        node.ai(
                            provider=_PROVIDER,
                            model=_MODEL,
                            input_tokens=_INPUT,
                            output_tokens=_OUTPUT,
                            response_id=response_id,
                        )
                    taken.append(time.perf_counter_ns() - began)
            return taken

        yield burst
        counters = meter.counters()
        if counters.dropped or counters.hook_errors:
            raise RuntimeError(f"the meter dropped events, so its times mean nothing: {counters}")


@contextmanager
def traced() -> Iterator[Burst]:
    """By an OpenTelemetry span with the same attributes, batched to an exporter in memory."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(_Exporter()))
    tracer = provider.get_tracer("bench")

    def burst(nodes: int) -> list[int]:
        taken = []
        run_id = str(uuid4())
        for number in range(nodes):
            response_id = f"chatcmpl-{number:024}"
            began = time.perf_counter_ns()
            attributes: dict[str, str | int] = {
                "account.id": _RUN["account_id"],
                "user.id": _RUN["user_id"],
                "project.id": _RUN["project_id"],
                "workflow.id": _RUN["workflow_id"],
                "run.id": run_id,
                "tag.team": _TAGS["team"],
                "node.id": _NODE,
                "node.type": _TYPE,
                "node.attempt": 1,
            }
            with tracer.start_as_current_span(_NODE, attributes=attributes) as span:
                span.set_attributes(
                    {
                        "gen_ai.provider.name": _PROVIDER,
                        "gen_ai.response.model": _MODEL,
                        "gen_ai.usage.input_tokens": _INPUT,
                        "gen_ai.usage.output_tokens": _OUTPUT,
                        "gen_ai.response.id": response_id,
                    }
                )
            taken.append(time.perf_counter_ns() - began)
        return taken

    try:
        yield burst
    finally:
        provider.shutdown()


@contextmanager
def serialised(broker: Broker) -> Iterator[Burst]:
    """By confluent-kafka's AvroSerializer and `produce`, as one usually writes it."""
    registry = SchemaRegistryClient({"url": broker.registry_url})
    serialise: Any = AvroSerializer(registry, conf={"auto.register.schemas": False, "use.schema.id": 1})
    context = SerializationContext(broker.topic, MessageField.VALUE)
    producer = Producer(
        {"bootstrap.servers": broker.bootstrap_servers, "enable.idempotence": True, "compression.type": "lz4"}
    )

    def burst(nodes: int) -> list[int]:
        taken = []
        run_id = str(uuid4())
        for number in range(nodes):
            response_id = f"chatcmpl-{number:024}"
            began = time.perf_counter_ns()
            now = time.time_ns()
            ai = {
                "provider": _PROVIDER,
                "model": _MODEL,
                "input_tokens": _INPUT,
                "output_tokens": _OUTPUT,
                "total_tokens": _INPUT + _OUTPUT,
                "response_id": response_id,
            }
            event = {
                **_RUN,
                "run_id": run_id,
                "tags": _TAGS,
                "event_id": str(new_event_id(now)),
                "occurred_at": now // 1_000,
                "node_id": _NODE,
                "node_type": _TYPE,
                "duration_us": (time.perf_counter_ns() - began) // 1_000,
                "ai": ai,
            }
            producer.produce(broker.topic, value=serialise(event, context), key=run_id)
            producer.poll(0)
            taken.append(time.perf_counter_ns() - began)
        return taken

    try:
        yield burst
    finally:
        producer.flush(30)
