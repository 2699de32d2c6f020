"""Published schemas are frozen, and every version can read every other, in both directions."""

from __future__ import annotations

import copy
import io
from itertools import product
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from tests.schemas.strategies import events

from taximeter_schemas import avro_files, codec
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.event import MeterEvent, Outcome

VERSIONS = sorted(avro_files.FROZEN)


def invented_next() -> dict[str, Any]:
    """What a next version might be: a new field at the top, one in `ai`, a new outcome."""
    schema = copy.deepcopy(avro_files.schema_of(avro_files.CURRENT_VERSION))
    schema["fields"].append({"name": "region", "type": "string", "default": ""})
    for field in schema["fields"]:
        if field["name"] == "ai":
            field["type"][1]["fields"].append({"name": "video_ms", "type": "long", "default": 0})
        if field["name"] == "outcome":
            field["type"]["symbols"].append("paused")
    return schema


NEXT = fastavro.parse_schema(invented_next(), named_schemas={})
SCHEMAS = {**{version: avro_files.parsed(version) for version in VERSIONS}, max(VERSIONS) + 1: NEXT}


def written(values: dict[str, Any], schema: Any) -> bytes:
    """A body by this schema."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, values)
    return out.getvalue()


def known_to(version: int, event: MeterEvent) -> MeterEvent:
    """The event without what came after this version."""
    if event.ai is None or version >= 2:
        return event
    return event.model_copy(update={"ai": event.ai.model_copy(update={"service_tier": "", "units": {}})})


@pytest.mark.parametrize("version", VERSIONS)
def test_published_files_are_frozen(version: int) -> None:
    """A published file has the digest that it was published with; a change needs a new version."""
    assert avro_files.schema_of(version)["name"] == "MeterEvent"


def test_a_changed_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With another digest on record the file is not used, and the message says what to do."""
    monkeypatch.setitem(avro_files.FROZEN, 1, "0" * 64)
    with pytest.raises(Misconfigured, match="next version"):
        avro_files.text_of(1)


def test_the_current_version_is_the_newest() -> None:
    """What is written is the highest published version."""
    assert max(VERSIONS) == avro_files.CURRENT_VERSION


@pytest.mark.parametrize(("writer", "reader"), list(product(SCHEMAS, SCHEMAS)))
@settings(max_examples=20, deadline=None)
@given(event=events)
def test_every_version_reads_every_other(writer: int, reader: int, event: MeterEvent) -> None:
    """BACKWARD_TRANSITIVE and FORWARD: whatever both know is equal, the rest has its default."""
    values = event.model_dump()
    read = codec.read_body(written(values, SCHEMAS[writer]), SCHEMAS[writer], SCHEMAS[reader])
    newest = max(SCHEMAS)
    assert read.pop("region", None) == ("" if reader == newest else None)
    if read["ai"] is not None:
        assert read["ai"].pop("video_ms", None) == (0 if reader == newest else None)
        assert ("units" in read["ai"]) is (reader >= 2)
    assert MeterEvent.model_validate(read) == known_to(min(writer, reader), event)


@settings(max_examples=20, deadline=None)
@given(event=events)
def test_a_newer_event_is_read_without_what_is_new(event: MeterEvent) -> None:
    """A body of a newer version decodes: new fields are dropped, a new enum symbol is `unknown`."""
    values = event.model_dump() | {"region": "eu", "outcome": "paused"}
    decoded = codec.decode_body(written(values, NEXT), NEXT)
    assert decoded == event.model_copy(update={"outcome": Outcome.UNKNOWN})
