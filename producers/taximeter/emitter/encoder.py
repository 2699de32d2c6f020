"""The encoder: Avro bodies by code that is generated from the schema, byte for byte what fastavro writes.

For every shape of a record (which fields it has, in which order) one function is made, once: fields that it lacks are
constants of their defaults, texts and small numbers that come again are found instead of encoded. What is constant over
a run is encoded once per run. Values must be the vocabulary's own, as `accept` leaves them; anything else raises.

For one thread. Memory is bounded: every table is emptied when it is full.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any

from taximeter.emitter.avro_bytes import Texts
from taximeter.emitter.encoder_source import Encode, Field, Source, Values, compiled_chooser, default_bytes

_SHAPES = 512
_RUNS = 1_024


class RecordEncoder:
    """Encodes some fields of an Avro record, in the schema's order. Absent fields have their defaults.

    `fields` are the schema's own field objects. Raises KeyError, TypeError, AttributeError for what is no such record.
    """

    def __init__(self, fields: Sequence[Field]) -> None:
        self._fields = fields
        self._names = frozenset(field["name"] for field in fields)
        self._inner = {field["name"]: record for field in fields if (record := _record_in(field["type"]))}
        self._texts = Texts()
        self._shapes: dict[tuple[str, ...], Encode] = {}
        self._made = 0

    def encode(self, values: Values) -> bytes:
        """The fields' bytes."""
        function = self._shapes.get(tuple(values)) or self._learn(values)
        return function(values)

    def _learn(self, values: Values) -> Encode:
        names = tuple(values)
        _check(names, self._names)
        self._make_room()
        inner = [name for name in names if name in self._inner]
        made = self._shapes[names] = self._chooser(inner) if inner else self._generate(values)
        return made

    def _chooser(self, inner: Sequence[str]) -> Encode:
        """A function that finds, by the shapes of the inner records, the one that encodes."""
        functions: dict[object, Encode] = {}

        def make(values: Values, key: object) -> Encode:
            self._make_room()
            made = functions[key] = self._generate(values)
            return made

        return compiled_chooser(inner, functions, make)

    def _make_room(self) -> None:
        self._made += 1
        if self._made > _SHAPES:
            self._made = 0
            self._shapes.clear()

    def _generate(self, values: Values) -> Encode:
        source = Source(self._texts)
        for field in self._fields:
            name = field["name"]
            record = self._inner.get(name)
            if name not in values:
                source.constant(default_bytes(field))
            elif record is None:
                source.value(field, f"v[{name!r}]")
            elif values[name] is None:
                source.constant(b"\x00")
            else:
                _check(values[name], {inner["name"] for inner in record})
                source.constant(b"\x02")
                source.let(name, f"v[{name!r}]")
                for inner in record:
                    if inner["name"] in values[name]:
                        source.value(inner, f"{name}[{inner['name']!r}]")
                    else:
                        source.constant(default_bytes(inner))
        return source.compiled()


def _check(names: Iterable[str], known: Container[str]) -> None:
    for name in names:
        if name not in known:
            raise KeyError(f"the schema has no field {name}")


def _record_in(kind: Any) -> Sequence[Field] | None:
    """The fields of an optional record."""
    match kind:
        case ["null", {"type": "record", "fields": fields}]:
            return list(fields)
    return None


class EventEncoder:
    """Encodes `MeterEvent`s of one schema, whose first fields, up to `event_id`, are constant over a run."""

    def __init__(self, schema: Mapping[str, Any], prepare: Callable[[Values], Values] = lambda run: run) -> None:
        """`prepare` is asked once for each run, for the values to encode."""
        self._prepare = prepare
        fields = schema["fields"]
        split = next(place for place, field in enumerate(fields) if field["name"] == "event_id")
        self._run = RecordEncoder(fields[:split])
        # What follows the prefix; the values have `event_id` as text and `occurred_at` in microseconds of Unix time.
        self.rest: Encode = RecordEncoder(fields[split:]).encode
        self._runs: deque[Values] = deque()
        self._prefixes: dict[int, bytes] = {}

    def prefix(self, attribution: Values) -> bytes:
        """A run's constant bytes. They are found again by the object, which must not change."""
        return self._prefixes.get(id(attribution)) or self._learn_run(attribution)

    def _learn_run(self, attribution: Values) -> bytes:
        encoded = self._prefixes[id(attribution)] = self._run.encode(self._prepare(attribution))
        # The object is kept as long as its bytes, so that its id cannot come to name another one.
        self._runs.append(attribution)
        if len(self._runs) > _RUNS:
            del self._prefixes[id(self._runs.popleft())]
        return encoded
