"""Anything may lie in a topic: what is sound is stored once, what is not is set aside, whoever its neighbours are."""

from __future__ import annotations

import random
from collections import Counter

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.sink.conftest import Pipeline
from tests.sink.mutations import a_correction, odd_events, spoiled
from tests.sink.records import events, value_of

from taximeter_consumers.sink.columns import SchemaColumns
from taximeter_consumers.sink.settings import SinkSettings
from taximeter_consumers.sink.walk import walk_of
from taximeter_schemas import frame
from taximeter_schemas.errors import Poison


@given(st.none() | st.binary(max_size=40))
def test_a_frame_is_split_or_refused(message: bytes | None) -> None:
    """Whatever the bytes, there is an id and a body, or Poison with its reason; together they are the message."""
    try:
        schema_id, body = frame.split(message)
    except Poison as poison:
        reason = poison.reason
    else:
        assert frame.header(schema_id) + body == message
        return
    assert reason in {"empty", "too_short", "not_framed"}


_PLAIN = st.sampled_from(["string", "bytes", "int", "long", "float", "double", "boolean", "null", "taximeter.Self"])
_TYPES = st.recursive(
    _PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.builds(lambda of: {"type": "map", "values": of}, inner)
        | st.builds(lambda of: {"type": "array", "items": of}, inner)
        | st.builds(lambda of: {"type": "record", "name": "Self", "fields": [{"name": "f", "type": of}]}, inner)
        | st.builds(lambda size: {"type": "fixed", "name": "F", "size": size}, st.integers(0, 40))
        | st.builds(lambda names: {"type": "enum", "name": "E", "symbols": names}, st.lists(st.text(max_size=3)))
        | st.just({"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 9})
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["account_id", "event_id", "occurred_at", "kind", "ai", "x"]), _TYPES))
def test_a_schema_of_any_shape_is_read_or_refused(fields: dict[str, object]) -> None:
    """A schema that somebody else registered makes a statement and a walk, or is Poison; it never breaks the sink."""
    writer = {
        "type": "record",
        "name": "taximeter.Self",
        "fields": [{"name": name, "type": avro} for name, avro in fields.items()],
    }
    try:
        parsed = fastavro.parse_schema(writer, named_schemas={})
    except Exception:  # noqa: BLE001 - no Avro, which the registry's answer is checked for
        return
    assert isinstance(parsed, dict)
    try:
        # In this order, as the sink does: a type that contains itself ends with the walk.
        walk_of(parsed, 7)
        SchemaColumns(7, parsed).insert("t")
    except Poison as poison:
        reason = poison.reason
    else:
        return
    assert reason == "unsupported_schema"


_WORDS = st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=12) | st.sampled_from(
    ["0", "-1", "nan", "inf", "-inf", "1e400", "", " ", "true", "1.5", "99999999999999999999"]
)


@given(st.dictionaries(st.sampled_from(sorted(SinkSettings.model_fields)), _WORDS))
def test_settings_are_sensible_or_refused(given_words: dict[str, str]) -> None:
    """No text in the environment makes a bound that is zero, endless or not a number."""
    try:
        settings = SinkSettings.model_validate(given_words)
    except ValidationError:
        return
    for name, value in settings.model_dump().items():
        if isinstance(value, float):
            assert 0 <= value < float("inf"), name
        elif isinstance(value, int):
            assert value > 0, name


@pytest.mark.integration
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_what_becomes_of_a_record_does_not_depend_on_its_neighbours(pipeline: Pipeline, seed: int) -> None:
    """Spoiled records among sound ones, and then each record in a batch of its own: the verdicts are the same.

    Every sound record is stored exactly once, every other is stored as it reads or dead-lettered.
    """
    draw = random.Random(seed)
    good = events(60, seed=100 + seed)
    odd = [*odd_events(draw), *odd_events(draw)]
    corrections = [a_correction(draw) for _ in range(5)]
    bad = spoiled(events(100, seed=200 + seed), draw)
    marked = (
        [("good", value_of(event)) for event in [*good, *corrections]]
        + [("odd", value_of(event)) for event in odd]
        + [("bad", value) for value in bad]
    )
    draw.shuffle(marked)
    pipeline.produce([value for _, value in marked], keys=["one"] * len(marked))

    def stored() -> Counter[int]:
        return Counter(int(offset) for (offset,) in pipeline.clickhouse.rows("SELECT kafka_offset FROM stored_events"))

    counters = pipeline.run(pipeline.settings(poison_rate=1))
    together = stored()
    assert counters.records == len(marked)
    assert set(together.values()) == {1}
    for offset, (kind, _) in enumerate(marked):
        assert kind == "bad" or (offset in together) == (kind == "good"), (offset, kind)

    pipeline.clickhouse.execute("TRUNCATE TABLE stored_events")
    pipeline.run(pipeline.settings(poison_rate=1, group_id=f"{pipeline.group}.alone", batch_rows=1))
    alone = stored()
    assert alone == together, {offset: marked[offset][1].hex() for offset in set(alone) ^ set(together)}
    letters = Counter(
        int(dict(letter.headers() or [])["taximeter-source-offset"]) for letter in pipeline.dead_letters()
    )
    assert letters == dict.fromkeys(set(range(len(marked))) - set(together), 2)
