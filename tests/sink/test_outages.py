"""What the sink talks to is away, or its answer is: the sink waits, loses nothing and doubles nothing."""

from __future__ import annotations

import dataclasses
from urllib.parse import urlsplit

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
from pydantic import SecretStr
from tests.schemas.registry_server import RegistryState, registry_server
from tests.sink.conftest import Pipeline, live
from tests.sink.records import events, value_of
from tests.sink.tcp_proxy import lossy_proxy

from taximeter_infra.stack.room import free_ports
from taximeter_infra.stack.waiting import wait_until
from taximeter_infra.topics import ensure_topics
from taximeter_schemas import avro_files, frame
from taximeter_schemas.registry import Registry, open_registry
from taximeter_schemas.settings import ClickHouseSettings, RegistrySettings

pytestmark = pytest.mark.integration


def _through(pipeline: Pipeline, port: int) -> Pipeline:
    """The same pipeline with ClickHouse at another port."""
    parts = urlsplit(pipeline.clickhouse_settings.url.get_secret_value())
    netloc = f"{parts.netloc.rpartition(':')[0]}:{port}"
    settings = ClickHouseSettings(
        url=SecretStr(parts._replace(netloc=netloc).geturl()), database=pipeline.clickhouse_settings.database
    )
    return dataclasses.replace(pipeline, clickhouse_settings=settings)


def _clickhouse_port(pipeline: Pipeline) -> int:
    port = urlsplit(pipeline.clickhouse_settings.url.get_secret_value()).port
    assert port is not None
    return port


def _committed(pipeline: Pipeline) -> int:
    """The sum of the offsets below which the group says that all is done."""
    consumer = Consumer({**pipeline.kafka.client_config(), "group.id": pipeline.group, "enable.auto.commit": False})
    places = [TopicPartition(pipeline.topics.events, number) for number in range(pipeline.topics.partitions)]
    done = sum(max(place.offset, 0) for place in consumer.committed(places, timeout=15))
    consumer.close()
    return done


@pytest.mark.parametrize(
    ("lost", "statement"),
    [(3, b"INSERT+INTO+stored_events"), (1, b"INTO stored_ingest_batches")],
    ids=["rows", "ledger"],
)
def test_an_answer_that_is_lost_costs_nothing(pipeline: Pipeline, lost: int, statement: bytes) -> None:
    """The insert succeeds, its answer is lost: the identical bytes are sent again, and stored rows stay exact."""
    pipeline.produce([value_of(event) for event in events(2_000, seed=41)])
    target = ("127.0.0.1", _clickhouse_port(pipeline))
    with lossy_proxy(target, statement, most=lost) as proxy, live(_through(pipeline, proxy.port)):
        assert wait_until(lambda: proxy.lost == lost and _committed(pipeline) == 2_000, 60)
    assert proxy.lost == lost
    assert pipeline.physical_rows() == 2_000
    assert pipeline.sums()[:2] == (2_000, 2_000)
    assert pipeline.clickhouse.rows("SELECT sum(records), sum(stored), sum(dead_lettered) FROM ingest_batches") == [
        (2_000, 2_000, 0)
    ]


def test_clickhouse_that_is_away_at_the_start_is_waited_for(pipeline: Pipeline) -> None:
    """The sink may be started first; it stores as soon as ClickHouse answers."""
    pipeline.produce([value_of(event) for event in events(200, seed=42)])
    (port,) = free_ports(1)
    with (
        live(_through(pipeline, port)),
        lossy_proxy(("127.0.0.1", _clickhouse_port(pipeline)), b"never", port=port),
    ):
        assert wait_until(lambda: pipeline.physical_rows() == 200, 60)


def _registry_of(state: RegistryState) -> Registry:
    return open_registry(RegistrySettings(url=state.url))


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_an_id_that_the_registry_cannot_be_asked_for_waits(pipeline: Pipeline, known: bool) -> None:
    """With the registry down nothing is dead-lettered and nothing is committed past it; then the registry decides."""
    made = events(50, seed=43)
    with registry_server() as state:
        schema_id = state.register(avro_files.text_of(avro_files.CURRENT_VERSION)) if known else 4_242
        state.fails_with = 503
        pipeline.produce([frame.header(schema_id) + value_of(event)[5:] for event in made])
        with live(pipeline, _registry_of(state), poison_rate=1):
            assert wait_until(lambda: len(state.asked) >= 3, 60)
            assert (pipeline.physical_rows(), _committed(pipeline)) == (0, 0)
            assert pipeline.dead_letters() == []
            state.fails_with = None
            assert wait_until(lambda: _committed(pipeline) == 50, 60)
    letters = pipeline.dead_letters()
    assert (pipeline.physical_rows(), len(letters)) == ((50, 0) if known else (0, 50))
    assert {dict(letter.headers() or [])["taximeter-reason"] for letter in letters} <= {b"unknown_schema"}


def test_nothing_is_committed_past_a_dead_letter_that_cannot_be_written(pipeline: Pipeline) -> None:
    """With no place for dead letters the good rest may be stored; the offset stays before the bad record."""
    admin = AdminClient({**pipeline.kafka.client_config()})
    for deleted in admin.delete_topics([pipeline.topics.dead_letters]).values():
        deleted.result()
    values: list[bytes | None] = [value_of(event) for event in events(40, seed=44)]
    values[0] = b"\xff"
    pipeline.produce(values, keys=["one"] * 40)
    with live(pipeline, poison_rate=1):
        assert wait_until(lambda: pipeline.physical_rows() == 39, 60)
        assert _committed(pipeline) == 0
    assert _committed(pipeline) == 0
    ensure_topics(pipeline.kafka, pipeline.topics)
    assert pipeline.run(pipeline.settings(poison_rate=1)).dead_lettered == 1
    assert (pipeline.physical_rows(), _committed(pipeline)) == (39, 40)
    # The first sink's own may still have got through after the topic came back: the same record, the same coordinates.
    offsets = {dict(letter.headers() or [])["taximeter-source-offset"] for letter in pipeline.dead_letters()}
    assert offsets == {b"0"}
