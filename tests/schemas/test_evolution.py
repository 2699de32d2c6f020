"""What may change between two versions: each rule with its sentence, and all of them held against Avro itself."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import fastavro
import pytest
from fastavro.utils import generate_many
from hypothesis import given, settings
from hypothesis import strategies as st

from taximeter_schemas import avro_files, evolution
from taximeter_schemas.errors import Misconfigured

Schema = dict[str, Any]
Edit = Callable[[Schema], None]

BASE: Schema = {
    "type": "record",
    "name": "Ride",
    "namespace": "t",
    "fields": [
        {"name": "who", "type": "string", "default": ""},
        {"name": "metres", "type": "long", "default": 0},
        {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
        {
            "name": "how",
            "default": "paid",
            "type": {"type": "enum", "name": "How", "symbols": ["unknown", "paid", "free"], "default": "unknown"},
        },
        {"name": "strict", "default": "a", "type": {"type": "enum", "name": "Strict", "symbols": ["a", "b"]}},
        {
            "name": "toll",
            "default": None,
            "type": [
                "null",
                {
                    "type": "record",
                    "name": "Toll",
                    "fields": [
                        {"name": "gates", "type": "long", "default": 0},
                        {"name": "how", "type": "How", "default": "free"},
                        {"name": "next", "type": ["null", "Toll"], "default": None},
                    ],
                },
            ],
        },
        {"name": "tags", "type": {"type": "map", "values": "long"}, "default": {}},
        {
            "name": "cost",
            "default": None,
            "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 6}],
        },
    ],
}


def _field(schema: Schema, name: str) -> Schema:
    found: Schema = next(field for field in schema["fields"] if field["name"] == name)
    return found


def _toll(schema: Schema) -> Schema:
    inner: Schema = _field(schema, "toll")["type"][1]
    return inner


def _drop(schema: Schema, name: str) -> None:
    schema["fields"].remove(_field(schema, name))


def _add(schema: Schema, **field: Any) -> None:
    schema["fields"].append(field)


# Edit, the path and the kind of the change.
SAFE: dict[str, tuple[Edit, str, str]] = {
    "a field at the end": (lambda s: _add(s, name="zone", type="string", default=""), "zone", "field_added"),
    "a field in a group": (
        lambda s: _add(_toll(s), name="tunnels", type="int", default=0),
        "toll.tunnels",
        "field_added",
    ),
    "a word": (lambda s: _field(s, "how")["type"]["symbols"].append("shared"), "how", "symbol_added"),
}
UNSAFE: dict[str, tuple[Edit, str, str]] = {
    "a field is gone": (lambda s: _drop(s, "who"), "who", "field_removed"),
    "a field of a group is gone": (lambda s: _drop(_toll(s), "gates"), "toll.gates", "field_removed"),
    "a name with an alias": (
        lambda s: _field(s, "metres").update(name="distance", aliases=["metres"]),
        "metres",
        "field_renamed",
    ),
    "a name without an alias": (lambda s: _field(s, "who").update(name="rider"), "who", "field_removed"),
    "a name whose old readers have no default": (
        lambda s: _field(s, "id").update(name="key", aliases=["id"]),
        "id",
        "field_renamed",
    ),
    "an alias that is in use": (
        lambda s: _add(s, name="zone", type="string", default="", aliases=["who"]),
        "zone",
        "alias_taken",
    ),
    "a new field without a default": (lambda s: _add(s, name="zone", type="string"), "zone", "field_without_default"),
    "a default is another": (lambda s: _field(s, "metres").update(default=1), "metres", "default_changed"),
    "a default is gone": (lambda s: _field(s, "metres").pop("default"), "metres", "default_changed"),
    "a narrower number": (lambda s: _field(s, "metres").update(type="int"), "metres", "type_changed"),
    "a wider number": (lambda s: _field(s, "metres").update(type="double"), "metres", "type_changed"),
    "a value may be null": (lambda s: _field(s, "metres").update(type=["long", "null"]), "metres", "type_changed"),
    "a plain type": (lambda s: _field(s, "id").update(type="string"), "id", "type_changed"),
    "another scale": (lambda s: _field(s, "cost")["type"][1].update(scale=9), "cost", "type_changed"),
    "other values of a map": (lambda s: _field(s, "tags")["type"].update(values="string"), "tags{}", "type_changed"),
    "a group by another name": (lambda s: _rename_toll(s), "toll", "type_changed"),
    "a word is gone": (lambda s: _field(s, "how")["type"]["symbols"].remove("paid"), "how", "symbol_removed"),
    "a word where there is none for unknown ones": (
        lambda s: _field(s, "strict")["type"]["symbols"].append("c"),
        "strict",
        "symbol_added",
    ),
    "no word for unknown ones": (lambda s: _field(s, "how")["type"].pop("default"), "how", "symbol_default_changed"),
}


def _rename_toll(schema: Schema) -> None:
    toll = _toll(schema)
    toll["name"] = "Fee"
    _field(toll, "next")["type"] = ["null", "Fee"]


def edited(*edits: Edit) -> Schema:
    """The base after these edits, as JSON."""
    schema = copy.deepcopy(BASE)
    for edit in edits:
        edit(schema)
    return schema


def changes(old: Schema, new: Schema) -> list[evolution.Change]:
    """What differs, by way of the files' text."""
    return evolution.changes(evolution.parse(json.dumps(old)), evolution.parse(json.dumps(new)))


@pytest.mark.parametrize("name", SAFE)
def test_what_is_safe_is_said(name: str) -> None:
    """One change, by its path, and nothing is refused."""
    edit, path, kind = SAFE[name]
    assert [(found.path, found.kind, found.is_safe) for found in changes(BASE, edited(edit))] == [(path, kind, True)]


@pytest.mark.parametrize("name", UNSAFE)
def test_what_is_unsafe_is_refused_with_a_sentence(name: str) -> None:
    """The path, the kind, and words that say what to do or what would happen."""
    edit, path, kind = UNSAFE[name]
    found = [change for change in changes(BASE, edited(edit)) if not change.is_safe]
    assert (path, kind) in {(change.path, change.kind) for change in found}
    assert all(len(change.said.split()) > 4 for change in found)


def test_words_and_order_do_not_count() -> None:
    """Another doc, another order of the fields: the same schema."""
    other = edited(
        lambda s: s.update(doc="x"), lambda s: s["fields"].reverse(), lambda s: s["fields"][0].update(doc="y")
    )
    # The first mention of a named type defines it.
    other["fields"][[field["name"] for field in other["fields"]].index("how")]["type"] = "How"
    _field(_toll(other), "how")["type"] = _field(BASE, "how")["type"]
    assert changes(BASE, other) == []


def test_a_renamed_counter_is_lost_to_who_knows_the_old_name() -> None:
    """Why an alias is not enough: the old reader takes the default, and says nothing."""
    renamed = edited(lambda s: _field(s, "metres").update(name="distance", aliases=["metres"]))
    assert all("distance" in written and then["metres"] == 0 for written, then in read(renamed, BASE))
    (change,) = changes(BASE, renamed)
    assert "keep the old field" in change.said


def test_each_version_is_held_against_all_before_it() -> None:
    """A field that goes and comes back otherwise is refused for the oldest records, though the last step adds it."""
    second = edited(lambda s: _drop(s, "metres"))
    third = edited(lambda s: _field(s, "metres").update(type="double"))
    parsed = [evolution.parse(json.dumps(schema)) for schema in (BASE, second, third)]
    assert evolution.refusals(parsed[1:2], parsed[2]) == []
    assert [refusal.path for refusal in evolution.refusals(parsed[:2], parsed[2])] == ["metres"]


def test_the_packaged_versions_are_safe_in_their_order_only() -> None:
    """Every version may follow all before it; the way back loses fields."""
    versions = [avro_files.parsed(version) for version in sorted(avro_files.FROZEN)]
    assert all(evolution.refusals(versions[:index], schema) == [] for index, schema in enumerate(versions))
    assert evolution.refusals([versions[-1]], versions[0]) != []


def test_paths_are_those_of_values() -> None:
    """Groups are entered, and one that contains itself only once."""
    assert evolution.paths(evolution.parse(json.dumps(BASE))) == [
        *("who", "metres", "id", "how", "strict"),
        *("toll.gates", "toll.how", "toll.next"),
        *("tags", "cost"),
    ]


@pytest.mark.parametrize("text", ["", "{", '"string"', '{"type": "record"}', "[]", '{"type": "map", "values": "long"}'])
def test_what_is_no_record_is_refused(text: str) -> None:
    """With the mend, whatever the library makes of it."""
    with pytest.raises(Misconfigured, match=r"meter_event\.v"):
        evolution.parse(text)


def read(schema: Schema, other: Schema) -> list[tuple[Schema, Schema]]:
    """Arbitrary records written by one schema and read by the other: as they were, and as they are read."""
    writer, reader = (fastavro.parse_schema(copy.deepcopy(one), named_schemas={}) for one in (schema, other))
    pairs = []
    for values in generate_many(writer, 8):
        out = io.BytesIO()
        fastavro.schemaless_writer(out, writer, values)
        pairs.append(
            (
                fastavro.schemaless_reader(io.BytesIO(out.getvalue()), writer, None),
                fastavro.schemaless_reader(io.BytesIO(out.getvalue()), writer, reader),
            )
        )
    return pairs


def agree(written: Any, read: Any) -> bool:
    """Whether what both sides have is equal; a word that the reader does not know may have become `unknown`."""
    if isinstance(written, dict) and isinstance(read, dict):
        return all(agree(written[key], read[key]) for key in written.keys() & read.keys())
    return written == read or read == "unknown"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*SAFE, *UNSAFE]), min_size=1, max_size=4, unique=True))
def test_whatever_is_not_refused_is_read_in_both_directions(names: list[str]) -> None:
    """Any edits together: either one is refused, or each version reads the other and what both have is equal."""
    schema, made = copy.deepcopy(BASE), set()
    for name in names:
        # What an earlier edit took away cannot be edited.
        with suppress(StopIteration, ValueError, KeyError):
            (SAFE | UNSAFE)[name][0](schema)
            made.add(name)
    if any(not change.is_safe for change in changes(BASE, schema)):
        # A safe one alone is never refused.
        assert made & set(UNSAFE)
        return
    pairs = [*read(BASE, schema), *read(schema, BASE)]
    assert all(agree(written, then) for written, then in pairs)
