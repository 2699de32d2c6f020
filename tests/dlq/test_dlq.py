"""`taximeter dlq` on the real broker and the real ClickHouse, with letters that the real sink has written."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from fastavro.types import Schema
from tests.audit.conftest import Audited
from tests.dlq.conftest import Commands
from tests.sink.records import BAD, events, value_of

from taximeter_consumers.dead_letters.letter import letter_of
from taximeter_consumers.dead_letters.trial import Trial
from taximeter_consumers.replay.topic_range import TopicRange
from taximeter_consumers.replay.topic_reader import TopicReader
from taximeter_schemas import codec
from taximeter_schemas.errors import Poison
from taximeter_schemas.event import MeterEvent
from taximeter_schemas.registry import PackagedRegistry

pytestmark = pytest.mark.integration
POISONED = 1_000


class LastRelease(PackagedRegistry):
    """What a sink knows that was not upgraded yet: version 1 of the event, and nothing of what producers write now."""

    def schema(self, schema_id: int) -> Schema:
        if schema_id > 1:
            raise Poison("unknown_schema", f"schema id {schema_id} is not one of the packaged versions (1)")
        return super().schema(schema_id)


def negative(event: MeterEvent) -> MeterEvent:
    """An event that no sink stores: a counter is below zero."""
    return event.model_copy(update={"duration_us": -1 - event.duration_us})


def totals(made: list[MeterEvent]) -> tuple[int, int, int]:
    """Events, their ids and input tokens."""
    return len(made), len({event.event_id for event in made}), sum(e.ai.input_tokens for e in made if e.ai)


def listed(taximeter: Commands, *words: str) -> dict[tuple[str, str], int]:
    """How many letters there are, by reason and state."""
    groups = json.loads(taximeter("dlq", "list", "--json", *words).stdout)["groups"]
    return {(group["reason"], group["state"]): group["letters"] for group in groups}


def test_a_poisoned_batch_is_listed_mended_and_redriven_once(
    pipeline: Audited, taximeter: Commands, tmp_path: Path
) -> None:
    """1,000 records of a schema that the sink does not know, and 20 with wrong counters: listed, mended (by an upgrade;
    in an export), redriven over a kill -9, and again: each is counted once, nothing is sent twice, the audit holds."""
    made = events(POISONED + 20, seed=8)
    pipeline.produce([value_of(event) for event in made[:POISONED]])
    pipeline.run(pipeline.settings(poison_rate=1), LastRelease())
    pipeline.produce([value_of(negative(event)) for event in made[POISONED:]])
    pipeline.run(pipeline.settings(poison_rate=1))
    assert pipeline.sums()[0] == 0
    assert listed(taximeter) == {("unknown_schema", "open"): POISONED, ("negative", "open"): 20}
    assert "taximeter dlq show" in taximeter("dlq", "list", "--reason", "negative", "--since", "1h").stdout

    refused = taximeter("dlq", "redrive", "--reason", "negative")
    assert (refused.exit_code, "0 dead letters sent" in refused.stdout) == (3, True)
    assert "20 negative" in refused.stderr
    counted = json.loads(taximeter("dlq", "redrive", "--reason", "unknown_schema", "--dry-run", "--json").stdout)
    assert counted["sent"] == POISONED
    assert taximeter.killed_at("dlq.sent@2", "dlq", "redrive", "--reason", "unknown_schema") == -9
    again = json.loads(taximeter("dlq", "redrive", "--reason", "unknown_schema", "--json").stdout)
    assert (again["redriven_before"], again["sent"]) == (500, 500)

    path = tmp_path / "letters.jsonl"
    assert "20 dead letters" in taximeter("dlq", "export", path).stdout
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        line["event"]["duration_us"] = -1 - line["event"]["duration_us"]
    path.write_text("\n".join(map(json.dumps, lines)))
    for sent in (20, 0):
        outcome = json.loads(taximeter("dlq", "redrive", "--from", path, "--rate", 5000, "--json").stdout)
        assert (outcome["sent"], outcome["edited"], outcome["redriven_before"]) == (sent, sent, 20 - sent)
    assert "0 dead letters sent" in taximeter("dlq", "redrive").stdout

    pipeline.run()
    stored = pipeline.sums()
    assert stored[:3] == totals(made)
    assert pipeline.clickhouse.scalar("SELECT sum(duration_us) FROM events") == sum(event.duration_us for event in made)
    assert listed(taximeter) == {}
    assert listed(taximeter, "--all") == {("unknown_schema", "redriven"): POISONED, ("negative", "redriven"): 20}
    for deep in ([], ["--deep"]):
        assert taximeter("audit", "--ingest", *deep).exit_code == 0
    with closing(TopicReader(pipeline.kafka, pipeline.topics.events)) as reader:
        sent = list(reader.read(reader.spans(TopicRange())))
    copies = [(one.key(), one.headers()) for one in sent if one.value() == value_of(made[0])]
    assert set(map(str, copies)) == {str((b"run-0", [("origin", b"test")]))}
    assert len(copies) >= 2


def test_letters_are_dropped_with_a_word_on_why(pipeline: Audited, taximeter: Commands, tmp_path: Path) -> None:
    """Not without --yes and --why; then they are hidden, sent no more, kept in the log, and the audit holds."""
    pipeline.produce([b"\xff garbage", *(value_of(negative(event)) for event in events(3, seed=2))])
    pipeline.run(pipeline.settings(poison_rate=1))
    for words in (
        (),
        ("--yes",),
        ("--why", "x"),
        ("--yes", "--why", "x"),
        ("--yes", "--why", "x", "--everything", "0:1"),
    ):
        assert taximeter("dlq", "drop", *words).exit_code == 2
    assert "1 dead letters would be dropped: 1 not_framed" in (
        taximeter("dlq", "drop", "--dry-run", "--reason", "not_framed").stdout
    )
    assert len(listed(taximeter)) == 2
    why = "a health check wrote to the topic"
    dropped = taximeter("dlq", "drop", "--reason", "not_framed", "--yes", "--why", why, "--by", "ada", "--json")
    assert json.loads(dropped.stdout)["dropped"] == 1
    assert listed(taximeter) == {("negative", "open"): 3}
    assert listed(taximeter, "--all") == {("negative", "open"): 3, ("not_framed", "dropped"): 1}
    forced = taximeter("dlq", "redrive", "--force")
    assert (forced.exit_code, "3 dead letters sent" in forced.stdout, "1 were dropped before" in forced.stdout) == (
        0,
        True,
        True,
    )
    log = json.loads(taximeter("dlq", "log", "--json").stdout)["commands"]
    assert [(entry["action"], entry["letters"], entry["reasons"]) for entry in log] == [
        ("redriven", 3, ["negative"]),
        ("dropped", 1, ["not_framed"]),
    ]
    assert (log[1]["acted_by"], log[1]["why"], len(log[1]["places"])) == ("ada", why, 1)
    assert why in taximeter("dlq", "log").stdout
    assert taximeter("dlq", "export", tmp_path / "all.avro", "--all").exit_code == 0
    assert "0 dead letters sent" in taximeter("dlq", "redrive", "--from", tmp_path / "all.avro").stdout
    # What was forced is a dead letter again, and another one.
    pipeline.run(pipeline.settings(poison_rate=1))
    assert listed(taximeter) == {("negative", "open"): 3}
    assert taximeter("audit", "--ingest").exit_code == 0


def test_a_trial_says_what_the_sink_has_said(pipeline: Audited, taximeter: Commands) -> None:
    """For every kind of bad record, and good ones among them; `show` prints the bytes and what can be read."""
    made = events(40, seed=5)
    values = [value_of(event) for event in made]
    for place, (_, damage) in enumerate(BAD.values()):
        values[3 * place] = damage(values[3 * place])
    pipeline.produce(values)
    pipeline.run(pipeline.settings(poison_rate=1))
    letters = [letter_of(message) for message in pipeline.dead_letters()]
    reasons = sorted(reason for reason, _ in BAD.values())
    assert sorted(letter.reason for letter in letters) == reasons
    tried = Trial(pipeline.clickhouse, PackagedRegistry()).bad([*(one.value for one in letters), value_of(made[1])], 1)
    assert {at: poison.reason for at, poison in tried.items()} == {at: one.reason for at, one in enumerate(letters)}
    assert pipeline.physical_rows() == len(made) - len(BAD)
    whole = next(one for one in letters if one.reason == "trailing_bytes")
    shown = json.loads(taximeter("dlq", "show", whole.place, "--json").stdout)
    assert (shown["value_hex"], shown["state"], shown["now"]["reason"]) == (
        (whole.value or b"").hex(),
        "open",
        "trailing_bytes",
    )
    cut = next(one for one in letters if one.reason == "truncated" and len(one.value or b"") > 100)
    text = taximeter("dlq", "show", cut.place).stdout
    assert "read so far" in text
    assert codec.decode(values[1], PackagedRegistry()).account_id[:8] in text
    assert "there is no dead letter" in taximeter("dlq", "show", "0:999999").stderr
    assert taximeter("dlq", "show", "x").exit_code == 2
