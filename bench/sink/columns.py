"""How every path of this benchmark but the sink itself maps an event to a row of `stored_events`. Pure.

Made from the packaged Avro schema alone, so that nothing here leans on the sink's insides. Whether all paths store the
same rows is checked by a digest, see `digest_sql`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PLAIN = {"long": "Int64", "int": "Int32", "string": "String", "enum": "String"}
SCHEMA_ID = 2
"""Under which the backlog is written: the current version of the event, as a test makes sure."""

# Columns that do not come out of the event's fields.
COORDINATES = (
    "id_time",
    "kafka_topic",
    "kafka_partition",
    "kafka_offset",
    "schema_id",
    "batch_id",
    "arrived_at",
    "version",
)
# What must be equal whoever stored it: everything but the batch and what is made from times of arrival.
_OWN = frozenset({"batch_id", "arrived_at", "version", "kafka_topic"})


def kind_of(avro: Any) -> str:
    """`long`, `string`, `enum`, `map`, `record`, `bytes`; `null` for a union that is not of a record."""
    if isinstance(avro, list):
        other = next(branch for branch in avro if branch != "null")
        return "record" if kind_of(other) == "record" else "null"
    return str(avro["type"]) if isinstance(avro, Mapping) else str(avro)


def group_of(avro: Any) -> Mapping[str, Any] | None:
    """The record inside a nullable group, None of anything else."""
    if kind_of(avro) != "record":
        return None
    branches = avro if isinstance(avro, list) else [avro]
    return next(branch for branch in branches if isinstance(branch, Mapping))


def paths(schema: Mapping[str, Any]) -> dict[str, tuple[str | None, str, Any]]:
    """Column -> (group or None, field, Avro type), in the order of the schema.

    A field of a group has its own name as column; where another has it, or it says too little alone, the group's
    stands in front (`http_errors`, `plugin_invocations`, `ai_units`).
    """
    found: dict[str, tuple[str | None, str, Any]] = {}
    for field in schema["fields"]:
        record = group_of(field["type"])
        if record is None:
            found[field["name"]] = (None, field["name"], field["type"])
            continue
        for inner in record["fields"]:
            prefixed = field["name"] == "http" or inner["name"] in {"invocations", "units"}
            name = f"{field['name']}_{inner['name']}" if prefixed else inner["name"]
            found[name] = (field["name"], inner["name"], inner["type"])
    return found


def columns(schema: Mapping[str, Any]) -> list[str]:
    """All columns, in the order in which every path here writes them."""
    return [*paths(schema), *COORDINATES]


def plain_type(avro: Any) -> str:
    """The plain type in which the engine reads a field: text and numbers, no dictionaries, no UUID."""
    record = group_of(avro)
    if record is not None:
        inner = (f"`{one['name']}` {plain_type(one['type'])}" for one in record["fields"])
        return f"Tuple({', '.join(inner)})"
    if isinstance(avro, list):
        return f"Nullable({plain_type(next(branch for branch in avro if branch != 'null'))})"
    if isinstance(avro, Mapping):
        match avro.get("logicalType"):
            case "timestamp-micros":
                return "DateTime64(6, 'UTC')"
            case "decimal":
                return f"Decimal({avro['precision']}, {avro['scale']})"
        if avro["type"] == "map":
            return f"Map(String, {plain_type(avro['values'])})"
        return _PLAIN[avro["type"]]
    return _PLAIN[avro]


def structure(schema: Mapping[str, Any], leading: str = "") -> str:
    """The columns as the engine reads them, after `leading`."""
    fields = [f"`{field['name']}` {plain_type(field['type'])}" for field in schema["fields"]]
    return ", ".join([leading, *fields] if leading else fields)


def select(schema: Mapping[str, Any], coordinates: Mapping[str, str]) -> list[str]:
    """The expressions for `columns`; `coordinates` gives those of topic, partition, offset and arrival (ms)."""
    chosen = []
    for column, (group, field, _) in paths(schema).items():
        path = f"`{field}`" if group is None else f"`{group}`.`{field}`"
        chosen.append("toUUID(`event_id`)" if column == "event_id" else path)
    offset, arrived = coordinates["offset"], coordinates["arrived_ms"]
    chosen += [
        "UUIDv7ToDateTime(toUUID(`event_id`), 'UTC')",
        coordinates["topic"],
        f"toInt32({coordinates['partition']})",
        f"toInt64({offset})",
        str(SCHEMA_ID),
        "0",
        f"fromUnixTimestamp64Milli(toInt64({arrived}), 'UTC')",
        f"bitNot(bitOr(bitShiftLeft(toUInt64({arrived}), 22), bitAnd(toUInt64({offset}), 4194303)))",
    ]
    return chosen


def digest_sql(schema: Mapping[str, Any]) -> str:
    """Rows, input tokens and a digest of all rows whatever their order; equal for equal rows."""
    named = ", ".join(name for name in columns(schema) if name not in _OWN)
    return f"SELECT count(), sum(input_tokens), toString(sum(cityHash64({named}))) FROM stored_events"
