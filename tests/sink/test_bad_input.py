"""Bad input never stops the sink and is never lost silently."""

from __future__ import annotations

import copy
import io
from typing import Any

import fastavro
import pytest
from confluent_kafka import Producer
from tests.sink.conftest import Pipeline
from tests.sink.records import BAD, events, value_of

from taximeter_schemas import avro_files, frame
from taximeter_schemas.errors import Misconfigured, Poison
from taximeter_schemas.event import AiUsage, Kind, MeterEvent
from taximeter_schemas.registry import PackagedRegistry

pytestmark = pytest.mark.integration

_NEXT = avro_files.CURRENT_VERSION + 1


def test_bad_records_go_to_the_dead_letters_and_the_rest_is_stored(pipeline: Pipeline) -> None:
    """Each kind of bad record, alone among good ones: set aside untouched, with its key, its headers and the reason."""
    values: list[bytes | None] = [value_of(event) for event in events(600, seed=11)]
    spoiled = {}
    for number, (kind, (_, spoil)) in enumerate(sorted(BAD.items())):
        index = 20 + 45 * number
        values[index] = spoiled[kind] = spoil(values[index] or b"")
    pipeline.produce(values, keys=["all-in-one-partition"] * len(values))

    counters = pipeline.run()

    assert (counters.records, counters.dead_lettered) == (600, len(BAD))
    assert pipeline.physical_rows() == 600 - len(BAD)
    letters = pipeline.dead_letters()
    assert len(letters) == len(BAD)
    found: dict[Any, str] = {}
    for letter in letters:
        headers = dict(letter.headers() or [])
        assert letter.key() == b"all-in-one-partition"
        assert headers["origin"] == b"test"
        assert headers["taximeter-source-topic"].decode() == pipeline.topics.events
        assert values[int(headers["taximeter-source-offset"])] == letter.value()
        found[int(headers["taximeter-source-offset"])] = headers["taximeter-reason"].decode()
    expected = {20 + 45 * number: reason for number, (_, (reason, _)) in enumerate(sorted(BAD.items()))}
    assert found == expected


def test_a_topic_of_nothing_but_garbage_is_worked_off(pipeline: Pipeline) -> None:
    """Where the operator lets a flood of bad records through, it ends in the dead letters, and the ledger has it."""
    pipeline.produce([b"\x00\x00\x00\x00\x01" + bytes([number % 251]) * 30 for number in range(500)])
    counters = pipeline.run(pipeline.settings(poison_rate=1))
    assert counters.dead_lettered == 500
    assert len(pipeline.dead_letters()) == 500
    assert pipeline.clickhouse.rows("SELECT sum(records), sum(stored), sum(dead_lettered) FROM ingest_batches") == [
        (500, 0, 500)
    ]


def test_a_flood_of_bad_records_stops_its_partition_and_no_other(pipeline: Pipeline) -> None:
    """Nothing of it is dead-lettered or committed; the others are stored. If told to, the sink works it off."""
    good = [value_of(event) for event in events(100, seed=16)]
    spoiled = [b"\xff" + value[1:] for value in good]
    producer = Producer(pipeline.kafka.client_config())
    for number, values in enumerate((good, spoiled, good)):
        for value in values:
            producer.produce(pipeline.topics.events, value, partition=number)
    assert producer.flush(30) == 0
    with pytest.raises(Misconfigured, match=r"partitions \[1\] cannot be stored"):
        pipeline.run(pipeline.settings(poison_window=100))
    assert pipeline.physical_rows() == 200
    assert pipeline.dead_letters() == []
    assert pipeline.run(pipeline.settings(poison_rate=1)).dead_lettered == 100
    assert len(pipeline.dead_letters()) == 100
    assert pipeline.clickhouse.rows("SELECT sum(stored), sum(dead_lettered) FROM ingest_batches") == [(200, 100)]


class _NewerRegistry:
    """A registry that already knows the next version: a field more at the top, one more in `ai`, a symbol more."""

    def __init__(self) -> None:
        newer = copy.deepcopy(avro_files.schema_of(avro_files.CURRENT_VERSION))
        by_name = {field["name"]: field for field in newer["fields"]}
        by_name["outcome"]["type"]["symbols"].append("paused")
        by_name["ai"]["type"][1]["fields"].insert(3, {"name": "video_ms", "type": "long", "default": 0})
        newer["fields"].insert(5, {"name": "region", "type": ["null", "string"], "default": None})
        self.newer = fastavro.parse_schema(newer, named_schemas={})

    def schema(self, schema_id: int) -> Any:
        return self.newer if schema_id == _NEXT else PackagedRegistry().schema(schema_id)

    def current_id(self) -> int:
        return avro_files.CURRENT_VERSION

    def value(self, event: dict[str, Any]) -> bytes:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, self.newer, event)
        return frame.header(_NEXT) + out.getvalue()


def test_a_newer_version_is_read_where_the_registry_knows_it(pipeline: Pipeline) -> None:
    """Producers may be ahead of the sink: what it does not know is skipped, the rest is stored beside ours."""
    registry = _NewerRegistry()
    made = events(40, seed=12)
    old, new = made[:20], made[20:]
    plain = [event.model_dump() for event in new]
    for event in plain:
        event.update(region="eu", outcome="paused")
        if event["ai"]:
            event["ai"]["video_ms"] = 7
    mixed = [value for pair in zip(map(value_of, old), map(registry.value, plain), strict=True) for value in pair]
    pipeline.produce(mixed, keys=["one"] * 40)
    counters = pipeline.run(registry=registry)
    assert (counters.records, counters.dead_lettered) == (40, 0)
    assert pipeline.clickhouse.rows(
        "SELECT schema_id, count(), sum(input_tokens), any(outcome) FROM events GROUP BY 1 ORDER BY 1"
    ) == [
        (_NEXT - 1, 20, sum(event.ai.input_tokens for event in old if event.ai), "success"),
        (_NEXT, 20, sum(event.ai.input_tokens for event in new if event.ai), "paused"),
    ]


def test_an_older_version_is_stored_beside_ours(pipeline: Pipeline) -> None:
    """In one batch: what version 1 did not know is empty, tier and units of version 2 are stored as they are."""
    made = events(60, seed=14)
    values = [_written(event, 1 + number % 2) for number, event in enumerate(made)]
    pipeline.produce(values, keys=["one"] * 60)
    counters = pipeline.run()
    assert (counters.records, counters.dead_lettered) == (60, 0)
    told = pipeline.clickhouse.rows(
        "SELECT schema_id, toString(event_id), service_tier, ai_units FROM events ORDER BY kafka_offset"
    )
    unknown = AiUsage()
    expected = [
        (1, str(event.event_id), "", {})
        if number % 2 == 0
        else (2, str(event.event_id), (event.ai or unknown).service_tier, (event.ai or unknown).units)
        for number, event in enumerate(made)
    ]
    assert told == expected
    assert any(units for _, _, _, units in expected)


def test_a_negative_unit_is_refused(pipeline: Pipeline) -> None:
    """Only an adjustment may take back; the event beside it is stored."""
    good, bad, taken_back = (event.model_copy(update={"ai": AiUsage(units={"web_searches": count})})
                             for event, count in zip(events(3, seed=15), (3, -3, -3), strict=True))  # fmt: skip
    taken_back = taken_back.model_copy(update={"kind": Kind.ADJUSTMENT})
    pipeline.produce([value_of(event) for event in (good, bad, taken_back)], keys=["one"] * 3)
    pipeline.run(pipeline.settings(poison_rate=1))
    (letter,) = pipeline.dead_letters()
    assert letter.value() == value_of(bad)
    assert dict(letter.headers() or [])["taximeter-reason"] == b"negative"
    assert pipeline.clickhouse.rows("SELECT ai_units['web_searches'] FROM events ORDER BY 1") == [(-3,), (3,)]


def _written(event: MeterEvent, version: int) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, avro_files.parsed(version), event.model_dump())
    return frame.header(version) + out.getvalue()


def test_a_newer_version_that_nobody_knows_is_kept(pipeline: Pipeline) -> None:
    """Without a registry that knows it, a newer version goes to the dead letters whole, to be sent again later."""
    registry = _NewerRegistry()
    value = registry.value(events(1, seed=13)[0].model_dump())
    pipeline.produce([value])
    pipeline.run()
    (letter,) = pipeline.dead_letters()
    assert letter.value() == value
    assert dict(letter.headers() or [])["taximeter-reason"] == b"unknown_schema"
    with pytest.raises(Poison):
        PackagedRegistry().schema(_NEXT)
