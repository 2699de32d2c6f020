"""Facts into findings and steps: what fits, what comes first, and what began too early."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from taximeter_consumers.replay.topic_range import Span
from taximeter_consumers.sink.columns import COLUMN_OF
from taximeter_infra.evolving import findings
from taximeter_infra.evolving.facts import Arrivals, InRegistry, Tables, Unseen
from taximeter_infra.evolving.findings import Level
from taximeter_infra.evolving.look import last_of
from taximeter_infra.evolving.steps import Evolution, State, ids_of, in_the_way, published_before
from taximeter_schemas import avro_files, evolution
from taximeter_schemas.registry_subject import Registered

PACKAGED = {version: avro_files.parsed(version) for version in avro_files.FROZEN}
CURRENT = avro_files.CURRENT_VERSION
COLUMNS = frozenset(COLUMN_OF.values())
TABLES = Tables({"m.stored_events": COLUMNS, "m.trial_events": COLUMNS}, {})


def as_json(version: int) -> dict[str, Any]:
    """A packaged version, to be edited."""
    return copy.deepcopy(avro_files.schema_of(version))


def with_region() -> dict[str, Any]:
    """A next version: one field more."""
    schema = as_json(CURRENT)
    schema["fields"].append({"name": "region", "type": "string", "default": ""})
    return schema


NEXT = evolution.parse(json.dumps(with_region()))


def registry(*schemas: dict[str, Any] | int, mode: str = "FULL_TRANSITIVE") -> InRegistry:
    """A subject with these versions; a number is a packaged one. Ids begin at 101."""
    texts = [avro_files.text_of(one) if isinstance(one, int) else json.dumps(one) for one in schemas]
    return InRegistry("s", mode, [Registered(n + 1, n + 101, text) for n, text in enumerate(texts)])


def said(found: Any, level: Level) -> str:
    """The sentences of a level and their mends."""
    return "\n".join(f"{one.said}; {one.mend}" for one in found if one.level is level)


def test_every_field_of_the_packaged_event_is_written_by_the_sink() -> None:
    """Or `schema check` would be wrong in every installation."""
    assert set(evolution.paths(PACKAGED[CURRENT])) <= set(COLUMN_OF)


def test_the_packaged_versions_hold() -> None:
    """Frozen files in their order; the other way round they do not."""
    assert said(findings.of_packaged(PACKAGED), Level.WRONG) == ""
    turned = {1: PACKAGED[2], 2: PACKAGED[1]}
    assert "packaged version 2: ai.units is gone" in said(findings.of_packaged(turned), Level.WRONG)


def test_a_registry_with_our_versions_fits() -> None:
    """Each is named by the packaged version that it is; none is missing."""
    found = list(findings.of_registry(registry(1, 2), PACKAGED))
    assert {one.level for one in found} == {Level.HOLDS}
    assert "version 2 (id 102) is packaged version 2" in said(found, Level.HOLDS)


def test_a_registry_without_the_current_version_is_no_fault() -> None:
    """The first producer registers it; nor is it one to have no registry."""
    assert "taximeter schema register" in said(findings.of_registry(registry(1), PACKAGED), Level.NOTE)
    assert said(findings.of_registry(None, PACKAGED), Level.WRONG) == ""


def test_a_newer_version_in_the_registry_is_noted() -> None:
    """This release stores its records without what it does not know."""
    found = list(findings.of_registry(registry(2, with_region()), PACKAGED))
    assert "upgrade the sinks" in said(found, Level.NOTE)
    assert said(found, Level.WRONG) == ""


def test_a_version_that_loses_fields_is_wrong() -> None:
    """Whether it came before ours or after it; it also stands in the way of registering."""
    poorer = as_json(CURRENT)
    poorer["fields"] = [field for field in poorer["fields"] if field["name"] != "tags"]
    other = as_json(CURRENT)
    other["fields"].append({"name": "mine", "type": "string", "default": ""})
    assert "tags is gone" in said(findings.of_registry(registry(2, poorer), PACKAGED), Level.WRONG)
    assert "mine is gone" in said(findings.of_registry(registry(other, 2), PACKAGED), Level.WRONG)
    assert list(findings.in_the_way(registry(other), PACKAGED))


def test_what_is_no_event_is_wrong() -> None:
    """Somebody else registers under our subject."""
    strange = InRegistry("s", "FULL_TRANSITIVE", [Registered(1, 101, '"string"')])
    assert "no event at all" in said(findings.of_registry(strange, PACKAGED), Level.WRONG)


def test_a_lenient_registry_is_wrong_but_not_in_the_way() -> None:
    """The mend names the mode; registering under it is as safe as before."""
    lenient = registry(2, mode="BACKWARD")
    assert "to FULL_TRANSITIVE" in said(findings.of_registry(lenient, PACKAGED), Level.WRONG)
    assert list(findings.in_the_way(lenient, PACKAGED)) == []


def test_the_registrys_own_no_counts() -> None:
    """By whatever rules it says so."""
    refusing = replace(registry(1), refusing=(1,))
    assert "incompatible with its versions 1" in said(findings.in_the_way(refusing, PACKAGED), Level.WRONG)


def test_missing_columns_are_named_with_their_table() -> None:
    """Of each table for itself; a database without tables needs all migrations."""
    poor = replace(TABLES, columns={"m.stored_events": COLUMNS, "m.trial_events": COLUMNS - {"ai_units"}})
    found = list(findings.of_tables(poor, PACKAGED[CURRENT]))
    assert said(found, Level.WRONG) == "m.trial_events has no column for ai.units; `taximeter migrate`"
    assert "stored_events" in said(found, Level.HOLDS)
    assert "taximeter migrate" in said(findings.of_tables(Tables({}, {}), PACKAGED[CURRENT]), Level.WRONG)
    assert said(findings.of_tables(NEXT_UNSEEN, PACKAGED[CURRENT]), Level.WRONG) == "away; start it"
    assert "reads over region" in said(findings.of_tables(TABLES, NEXT), Level.WRONG)


NEXT_UNSEEN = Unseen("away", "start it")


def going(candidate: Any = NEXT, tables: Tables | Unseen = TABLES, **by_id: int) -> Evolution:
    """An evolution in which records came by these ids: `id102=5`."""
    known = registry(2, with_region())
    arrived = Arrivals("t", {int(name.removeprefix("id")): count for name, count in by_id.items()})
    ids = ids_of(candidate, known, PACKAGED)
    return Evolution(candidate, published_before(candidate, known, PACKAGED), "9.9", ids, tables, arrived)


def states(one: Evolution) -> list[State]:
    """How far each of the three steps is."""
    return [step.state for step in one.steps()]


def test_a_new_field_starts_with_its_column() -> None:
    """Nothing is done; each step says what it waits for."""
    one = going(id101=10)
    assert [change.path for change in one.changes] == ["region"]
    assert one.refusals() == []
    assert states(one) == [State.TODO, State.TODO, State.TODO]
    columns, sinks, producers = one.steps()
    assert "region" in columns.mend
    assert "taximeter 9.9 reads over region" in sinks.said
    assert producers.mend == "not before the steps above are done"


def test_producers_before_sinks_are_too_early() -> None:
    """Records of the new version come, and the sinks read over its field: said, with the way to make it good."""
    step = going(id101=10, id102=1).steps()[2]
    assert step.too_early
    assert "TOO EARLY" in step.said
    assert "--shadow" in step.mend


def test_a_column_by_the_fields_own_name_will_do() -> None:
    """The migration may run long before the sink that writes the column is built."""
    wider = Tables(dict.fromkeys(TABLES.columns, COLUMNS | {"region"}), {})
    assert states(going(tables=wider, id101=10))[:2] == [State.DONE, State.TODO]


def test_the_current_version_is_done_when_all_records_have_it() -> None:
    """Before that the producers remain."""
    current = PACKAGED[CURRENT]
    assert states(going(current, id101=7)) == [State.DONE, State.DONE, State.DONE]
    assert states(going(current, id101=7, id55=1)) == [State.DONE, State.DONE, State.TODO]
    assert going(current, id55=1).steps()[2].mend == "upgrade the producers"


def test_running_sinks_are_named_because_their_release_is_not_known() -> None:
    """The newest of them, and how many more."""
    sinks = {f"host/{number}": datetime(2026, 6, 1, number, tzinfo=UTC) for number in range(7)}
    step = going(PACKAGED[CURRENT], replace(TABLES, sinks=sinks), id101=1).steps()[1]
    assert step.state is State.LOOK
    assert "host/6 (last 06-01 06:00 UTC) and 2 more" in step.said


def test_what_cannot_be_seen_is_said_and_not_guessed() -> None:
    """Without ClickHouse and Kafka the order is the same, its state unknown."""
    one = replace(going(PACKAGED[CURRENT], NEXT_UNSEEN), arrivals=NEXT_UNSEEN)
    assert states(one) == [State.UNSEEN] * 3
    assert states(going(PACKAGED[CURRENT])) == [State.DONE, State.DONE, State.UNSEEN]


def test_what_cannot_be_seen_is_not_ready() -> None:
    """With ClickHouse away nobody is told to upgrade the producers, and what has come is not called done."""
    for arrived in ({"id55": 1}, {"id101": 7}, {}):
        steps = going(PACKAGED[CURRENT], NEXT_UNSEEN, **arrived).steps()
        assert "the steps above cannot be seen" in steps[2].mend
        assert steps[2].state is not State.DONE
        assert in_the_way(steps) == steps[:2]
    assert in_the_way(going(PACKAGED[CURRENT]).steps()) == []
    early = going(id101=10, id102=1).steps()
    assert in_the_way(early) == early[2:]


def test_a_renamed_field_is_refused_and_the_sink_does_not_know_it() -> None:
    """Avro follows the alias, the sink's SQL goes by name."""
    schema = as_json(CURRENT)
    schema["fields"][1].update(name="person_id", aliases=["user_id"])
    one = going(evolution.parse(json.dumps(schema)), id101=1)
    assert ("user_id", "field_renamed") in {(change.path, change.kind) for change in one.refusals()}
    assert one.steps()[1].state is State.TODO
    assert "person_id" in one.steps()[1].said


def test_what_the_sink_cannot_read_is_refused() -> None:
    """Avro allows unions of several types, ClickHouse's columns do not."""
    schema = as_json(CURRENT)
    schema["fields"].append({"name": "mixed", "type": ["null", "string", "long"], "default": None})
    assert "several types" in going(evolution.parse(json.dumps(schema))).refusals()[-1].said


def test_an_older_candidate_is_not_held_against_newer_versions() -> None:
    """What was registered after it is not what it follows."""
    assert going(PACKAGED[CURRENT]).refusals() == []
    assert published_before(PACKAGED[1], registry(1, 2), PACKAGED) == []


def test_ids_are_the_registrys_or_the_packages() -> None:
    """A candidate that nobody has registered has none."""
    assert ids_of(NEXT, registry(2), PACKAGED) == frozenset()
    assert ids_of(PACKAGED[CURRENT], None, PACKAGED) == {CURRENT}
    assert ids_of(PACKAGED[CURRENT], registry(1, 2), PACKAGED) == {102}


@pytest.mark.parametrize("records", [1, 4, 5, 1000])
def test_the_end_of_every_partition_is_looked_at(records: int) -> None:
    """An equal share of each, rounded up, and never past its beginning."""
    spans = [Span(0, 0, 100), Span(1, 98, 100), Span(2, 5, 5)]
    found = last_of(spans, records)
    assert [span.end for span in found] == [100, 100, 5]
    assert all(span.first >= whole.first for span, whole in zip(found, spans, strict=True))
    assert found[0].end - found[0].first == min(-(-records // 3), 100)
