"""From a writer's Avro schema to the INSERT that reads it: pure text, no I/O.

The engine reads plain types first (String, Int64) and converts to the table's own in the SELECT, because parsing
straight into LowCardinality or UUID costs several times as much. The structure is made from the schema that the
records were *written* with, so a newer version with more fields is read as well: what the table does not know is
skipped, what the writer did not know gets the column's empty value.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from taximeter_consumers.sink.guards import PLACE_MARK, fields_of_guards, guards, judgement
from taximeter_schemas import frame
from taximeter_schemas.errors import Poison

if TYPE_CHECKING:
    from collections.abc import Mapping

# Fields that the sink puts around every record, see `block`.
ROW, OFFSET, ARRIVED, STRETCH, HEADER = "_row", "_offset", "_arrived", "_stretch", "_header"

# Column of stored_events -> (path in the event, value where the writer's schema lacks it).
_COLUMNS: Mapping[str, tuple[str, str]] = {
    "account_id": ("account_id", "''"),
    "user_id": ("user_id", "''"),
    "project_id": ("project_id", "''"),
    "workflow_id": ("workflow_id", "''"),
    "run_id": ("run_id", "''"),
    "parent_run_id": ("parent_run_id", "''"),
    "thread_id": ("thread_id", "''"),
    "transaction_id": ("transaction_id", "''"),
    "context": ("context", "'customer'"),
    "tags": ("tags", "map()"),
    "occurred_at": ("occurred_at", "toDateTime64(0, 6, 'UTC')"),
    "kind": ("kind", "'node'"),
    "node_id": ("node_id", "''"),
    "node_type": ("node_type", "''"),
    "attempt": ("attempt", "1"),
    "agent_name": ("agent_name", "''"),
    "outcome": ("outcome", "'success'"),
    "memory_breaches": ("memory_breaches", "0"),
    "timeout_breaches": ("timeout_breaches", "0"),
    "breach_reason": ("breach_reason", "''"),
    "executions": ("executions", "1"),
    "duration_us": ("duration_us", "0"),
    "provider": ("ai.provider", "''"),
    "model": ("ai.model", "''"),
    "usage_type": ("ai.usage_type", "''"),
    "input_tokens": ("ai.input_tokens", "0"),
    "output_tokens": ("ai.output_tokens", "0"),
    "cache_read_tokens": ("ai.cache_read_tokens", "0"),
    "cache_write_tokens": ("ai.cache_write_tokens", "0"),
    "reasoning_tokens": ("ai.reasoning_tokens", "0"),
    "total_tokens": ("ai.total_tokens", "0"),
    "audio_ms": ("ai.audio_ms", "0"),
    "characters": ("ai.characters", "0"),
    "images": ("ai.images", "0"),
    "response_id": ("ai.response_id", "''"),
    "reported_cost": ("ai.reported_cost", "NULL"),
    "quality": ("ai.quality", "''"),
    "service_tier": ("ai.service_tier", "''"),
    "ai_units": ("ai.units", "map()"),
    "http_requests": ("http.requests", "0"),
    "http_bytes_out": ("http.bytes_out", "0"),
    "http_bytes_in": ("http.bytes_in", "0"),
    "http_errors": ("http.errors", "0"),
    "plugin_id": ("plugin.plugin_id", "''"),
    "plugin_invocations": ("plugin.invocations", "0"),
    "custom_units": ("plugin.custom_units", "map()"),
    "cpu_us": ("code.cpu_us", "0"),
    "max_rss_bytes": ("code.max_rss_bytes", "0"),
    "error_message": ("error_message", "''"),
    "provider_metadata": ("provider_metadata", "map()"),
    "description": ("description", "''"),
}

# Field of the event -> the column that the sink writes it to. A field that is not here is read over.
COLUMN_OF: Mapping[str, str] = {path: column for column, (path, _) in _COLUMNS.items()} | {"event_id": "event_id"}

_PRIMITIVES = {
    "string": "String",
    "bytes": "String",
    "int": "Int32",
    "long": "Int64",
    "float": "Float32",
    "double": "Float64",
    "boolean": "Bool",
}
_LOGICAL = {
    "timestamp-micros": "DateTime64(6, 'UTC')",
    "timestamp-millis": "DateTime64(3, 'UTC')",
    "date": "Date32",
}


class SchemaColumns:
    """How records of one writer's schema are read. Raises Poison (`unsupported_schema`) for one that cannot be."""

    def __init__(self, schema_id: int, writer: Mapping[str, Any]) -> None:
        self.schema_id = schema_id
        if writer.get("type") != "record":
            raise Poison("unsupported_schema", f"schema {schema_id} is not a record")
        self._named: dict[str, Mapping[str, Any]] = {}
        self._fields: Mapping[str, str] = {field["name"]: self._plain_type(field["type"]) for field in writer["fields"]}
        self._paths = set(self._fields)
        for field in writer["fields"]:
            record = self._record_in(field["type"])
            if record is not None:
                self._paths.update(f"{field['name']}.{inner['name']}" for inner in record["fields"])
        missing = {"account_id", "event_id", "occurred_at"} - self._paths
        if missing:
            raise Poison("unsupported_schema", f"schema {schema_id} lacks {', '.join(sorted(missing))}")

    @cached_property
    def structure(self) -> str:
        """The argument of `input()`: the writer's fields between ours, all in plain types."""
        leading = {OFFSET: 8, ARRIVED: 8, STRETCH: 2, HEADER: frame.HEADER_SIZE}
        return ", ".join(
            [
                *(f"{name} FixedString({size})" for name, size in leading.items()),
                *(f"`{name}` {plain}" for name, plain in self._fields.items()),
                f"{ROW} FixedString(4)",
            ]
        )

    @cached_property
    def select(self) -> str:
        """The SELECT list, in the order of the INSERT's columns.

        What the batches say for all of their records is bound as arrays, in which a record's stretch says the place.
        Nothing gets an alias: one called `event_id` would hide the text that the guards look at.
        """
        place = f"bitAnd(reinterpretAsUInt64({OFFSET}), 4194303)"
        stretch = f"reinterpretAsUInt16({STRETCH})"
        chosen = [path if path in self._paths else default for path, default in _COLUMNS.values()]
        return ",\n    ".join(
            [
                *chosen,
                "toUUID(`event_id`)",
                "UUIDv7ToDateTime(toUUID(`event_id`), 'UTC')",
                "{topic:String}",
                f"{{partitions:Array(Int32)}}[{stretch}]",
                f"reinterpretAsInt64({OFFSET})",
                f"{self.schema_id}",
                f"{{batch_ids:Array(UInt64)}}[{stretch}]",
                f"fromUnixTimestamp64Milli({{arrived_ms:Array(Int64)}}[{stretch}], 'UTC')",
                # The first arrival wins: later records get smaller versions. A record's version is its own, whatever
                # batch it is in: of two stored copies of one record the later one wins, whose batch is in the ledger.
                f"bitNot(bitOr(bitShiftLeft(reinterpretAsUInt64({ARRIVED}), 22), {place}))",
            ]
        )

    @cached_property
    def guards(self) -> str:
        """What every row must satisfy, or the whole insert is refused.

        A truncated or padded record can decode as something else and shift all that follow; the sink's own fields then
        stand in the wrong place, which the first two guards see.
        """
        header = frame.header(self.schema_id).hex()
        checks = {
            "misaligned": f"reinterpretAsUInt32({ROW}) != rowNumberInAllBlocks() + {PLACE_MARK}",
            "header": f"{HEADER} != unhex('{header}')",
            **guards(self._paths),
        }
        return ", ".join(f"throwIf({condition}, '{name}')" for name, condition in checks.items())

    @cached_property
    def judgement(self) -> tuple[str, str]:
        """The query for the places and reasons of bad records, and the structure of the table `records` it reads."""
        needed = fields_of_guards(self._paths)
        fields = [f"`{name}` {plain}" for name, plain in self._fields.items() if name in needed]
        return judgement(ROW, self._paths), ", ".join([*fields, f"{ROW} FixedString(4)"])

    def insert(self, table: str) -> str:
        """The whole statement; the Avro block is its body."""
        structure = self.structure.replace("'", "\\'")
        columns = ", ".join([*_COLUMNS, *_OWN_COLUMNS])
        return (
            f"INSERT INTO {table} ({columns})\nSELECT\n    {self.select}\n"
            f"FROM input('{structure}')\nWHERE NOT ignore({self.guards})\nFORMAT Avro"
        )

    def _record_in(self, avro: Any) -> Mapping[str, Any] | None:
        branches = avro if isinstance(avro, list) else [avro]
        for branch in branches:
            named = self._named.get(branch, branch) if isinstance(branch, str) else branch
            if isinstance(named, dict) and named.get("type") == "record":
                return named
        return None

    def _plain_type(self, avro: Any) -> str:
        if isinstance(avro, list):
            return self._plain_union(avro)
        if isinstance(avro, str):
            if avro in self._named:
                return self._plain_type(self._named[avro])
            if avro in _PRIMITIVES:
                return _PRIMITIVES[avro]
            raise Poison("unsupported_schema", f"schema {self.schema_id} has the type {avro}")
        if "name" in avro:
            self._named[avro["name"]] = avro
        return self._plain_complex(avro)

    def _plain_union(self, branches: list[Any]) -> str:
        others = [branch for branch in branches if branch != "null"]
        if len(others) != 1:
            raise Poison("unsupported_schema", f"schema {self.schema_id} has a union of several types")
        plain = self._plain_type(others[0])
        # A null record is read as an empty tuple, a null array or map as an empty one: none of them nests in Nullable.
        return plain if plain.startswith(("Tuple", "Array", "Map")) else f"Nullable({plain})"

    def _plain_complex(self, avro: Mapping[str, Any]) -> str:
        logical = avro.get("logicalType")
        if logical == "decimal":
            return f"Decimal({avro['precision']}, {avro.get('scale', 0)})"
        if logical in _LOGICAL:
            return _LOGICAL[logical]
        match avro["type"]:
            case "record":
                inner = (f"`{field['name']}` {self._plain_type(field['type'])}" for field in avro["fields"])
                return f"Tuple({', '.join(inner)})"
            case "enum":
                return "String"
            case "fixed":
                return f"FixedString({avro['size']})"
            case "map":
                return f"Map(String, {self._plain_type(avro['values'])})"
            case "array":
                return f"Array({self._plain_type(avro['items'])})"
            case other:
                return self._plain_type(other)


_OWN_COLUMNS = (
    "event_id",
    "id_time",
    "kafka_topic",
    "kafka_partition",
    "kafka_offset",
    "schema_id",
    "batch_id",
    "arrived_at",
    "version",
)
