"""Replaying a real topic: all of it, parts of it, to every destination."""

from __future__ import annotations

import io
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fastavro
import pytest
from confluent_kafka.admin import AdminClient
from tests.replay.conftest import BAD, FilledTopic

from taximeter_consumers.replay.destinations import AvroFile, Destination, JsonLines, Nowhere
from taximeter_consumers.replay.event_filter import EventFilter
from taximeter_consumers.replay.replay import Outcome, replay
from taximeter_consumers.replay.topic_copy import TopicCopy
from taximeter_consumers.replay.topic_range import Offsets, TopicRange
from taximeter_consumers.replay.topic_reader import TopicReader
from taximeter_schemas import codec
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.event import MeterEvent
from taximeter_schemas.registry import PackagedRegistry

pytestmark = pytest.mark.integration
EVERYTHING = TopicRange()


def run(
    topic: FilledTopic,
    destination: Destination,
    wanted: EventFilter | None = None,
    asked: TopicRange = EVERYTHING,
    name: str | None = None,
) -> Outcome:
    """One replay of the filled topic, or of another."""
    reader = TopicReader(topic.kafka, name or topic.name)
    try:
        messages = reader.read(reader.spans(asked))
        return replay(messages, PackagedRegistry(), wanted or EventFilter(), destination)
    finally:
        reader.close()


def raw(topic: FilledTopic, name: str) -> Counter[tuple[Any, ...]]:
    """Key, value and headers of every message of a topic."""
    reader = TopicReader(topic.kafka, name)
    try:
        return Counter(
            (message.key(), message.value(), tuple(message.headers() or ()))
            for message in reader.read(reader.spans(EVERYTHING))
        )
    finally:
        reader.close()


def test_json_lines_hold_every_event(filled_topic: FilledTopic) -> None:
    """Each event is one line with its coordinates; what cannot be decoded is named and does not stop the others."""
    out = io.StringIO()
    outcome = run(filled_topic, JsonLines(out))
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    places = {(line["kafka"]["partition"], line["kafka"]["offset"]) for line in lines}
    assert len(places) == len(lines) == len(filled_topic.events)
    by_id = {line["event_id"]: {key: value for key, value in line.items() if key != "kafka"} for line in lines}
    assert by_id == {str(event.event_id): codec.to_plain(event) for event in filled_topic.events}
    assert (outcome.read, outcome.written, outcome.bad) == (filled_topic.messages, len(lines), len(BAD))
    assert {bad.reason for bad in outcome.named} == {"not_framed", "unknown_schema", "truncated"}


def test_a_file_holds_every_event(filled_topic: FilledTopic, tmp_path: Path) -> None:
    """The Avro container is whole, any Avro reader takes it, and it has its name only when complete."""
    path = tmp_path / "events.avro"
    run(filled_topic, AvroFile(path))
    with path.open("rb") as file:
        read = [MeterEvent.model_validate(record) for record in fastavro.reader(file)]
    stored = {event.event_id: event for event in read}
    assert stored == {event.event_id: event for event in filled_topic.events}
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_no_file(filled_topic: FilledTopic, tmp_path: Path) -> None:
    """An interrupt in the middle leaves neither the file nor a part of it."""

    class Interrupted(AvroFile):
        def finish(self) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(filled_topic, Interrupted(tmp_path / "events.avro"))
    assert list(tmp_path.iterdir()) == []


def test_a_copy_is_byte_for_byte(filled_topic: FilledTopic, other_topic: str) -> None:
    """Without a filter everything is copied as it is: keys, values, headers, and what nobody can decode."""
    outcome = run(filled_topic, TopicCopy(filled_topic.kafka, other_topic))
    assert (outcome.written, outcome.bad) == (filled_topic.messages, 0)
    assert raw(filled_topic, other_topic) == raw(filled_topic, filled_topic.name)


def test_a_filtered_copy_holds_the_selection(filled_topic: FilledTopic, other_topic: str) -> None:
    """With a filter only what was decoded and selected is copied."""
    account = filled_topic.events[0].account_id
    outcome = run(
        filled_topic, TopicCopy(filled_topic.kafka, other_topic), EventFilter(account_ids=frozenset({account}))
    )
    expected = sum(event.account_id == account for event in filled_topic.events)
    assert (outcome.written, outcome.bad) == (expected, len(BAD))
    assert raw(filled_topic, other_topic).total() == expected


def test_a_replay_into_its_own_topic_ends(filled_topic: FilledTopic, other_topic: str) -> None:
    """The end is where the topic ended at the start, so copying a topic into itself doubles it and stops."""
    run(filled_topic, TopicCopy(filled_topic.kafka, other_topic), asked=TopicRange(frozenset({0})))
    before = raw(filled_topic, other_topic).total()
    run(filled_topic, TopicCopy(filled_topic.kafka, other_topic), name=other_topic)
    assert raw(filled_topic, other_topic).total() == 2 * before


@pytest.mark.parametrize("kind", ["run", "account", "workflow"])
def test_filters_select(filled_topic: FilledTopic, kind: str) -> None:
    """By run, account and workflow, as a count over the events says."""
    field = f"{kind}_id"
    value = getattr(filled_topic.events[7], field)
    outcome = run(filled_topic, Nowhere(), EventFilter(**{f"{kind}_ids": frozenset({value})}))
    assert outcome.written == sum(getattr(event, field) == value for event in filled_topic.events) > 0


def test_offsets_choose_a_part(filled_topic: FilledTopic) -> None:
    """From the first offset, up to but not including the last, in the named partitions."""
    out = io.StringIO()
    run(
        filled_topic,
        JsonLines(out),
        asked=TopicRange(frozenset({0, 1}), Offsets(10, {1: 20}), Offsets(everywhere=30)),
    )
    places = [json.loads(line)["kafka"] for line in out.getvalue().splitlines()]
    found = {(place["partition"], place["offset"]) for place in places}
    assert found == {(0, offset) for offset in range(10, 30)} | {(1, offset) for offset in range(20, 30)}


def test_times_choose_a_part(filled_topic: FilledTopic) -> None:
    """By arrival: everything is within the last hour, nothing before it, nothing after now."""
    now = datetime.now(UTC)
    hour_ago, soon = now - timedelta(hours=1), now + timedelta(hours=1)
    assert run(filled_topic, Nowhere(), asked=TopicRange(since=hour_ago, until=soon)).read == filled_topic.messages
    assert run(filled_topic, Nowhere(), asked=TopicRange(until=hour_ago)).read == 0
    assert run(filled_topic, Nowhere(), asked=TopicRange(since=soon)).read == 0


def test_no_trace_is_left(filled_topic: FilledTopic) -> None:
    """A replay joins no group and commits nothing."""
    run(filled_topic, Nowhere())
    admin = AdminClient({**filled_topic.kafka.client_config()})
    groups = admin.list_consumer_groups(request_timeout=15).result().valid
    assert not [group.group_id for group in groups if group.group_id.startswith("taximeter-reader")]


def test_unknown_topics_are_misconfigured(filled_topic: FilledTopic) -> None:
    """Neither reading nor writing creates a topic."""
    with pytest.raises(Misconfigured, match="does not exist"):
        TopicReader(filled_topic.kafka, "no.such.topic")
    with pytest.raises(Misconfigured, match="does not exist"):
        TopicCopy(filled_topic.kafka, "no.such.topic")


def test_a_place_that_cannot_be_written_is_misconfigured(tmp_path: Path) -> None:
    """A wrong directory is said before anything is read."""
    with pytest.raises(Misconfigured, match="cannot be written"):
        AvroFile(tmp_path / "missing" / "events.avro")
