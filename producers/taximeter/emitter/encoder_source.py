"""The source of one encoding function: constants run together, and an expression for each value.

A function is one `join` over its parts. Numbers are written out where they stand, because a call costs as much as the
work. Field names come from the schema alone, never from data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from taximeter.emitter.avro_bytes import (
    MIDDLE,
    START,
    WHOLE,
    Symbols,
    Texts,
    decimals_of,
    long_bytes,
    map_of,
    text_bytes,
)

Field = Mapping[str, Any]
Values = Mapping[str, Any]
Encode = Callable[[Values], bytes]

# Texts that come again from event to event; of the others a table would only be a cost.
_TABLE = 8_192
_RECURRING = frozenset({"provider", "model", "service_tier", "node_id", "node_type", "agent_name", "plugin_id"})

# A number of up to four bytes is put together where it stands: what follows its first two is no longer doubled.
_LONG = """(
        (S[n & 0x1FFF] + R[h] if 0 < h < 0x2000 else long(n)) if (h := (n := {0}) >> 13) else W[n]
    )"""
_TEXT = "W[n] if (n := len(r := {0}.encode())) < 0x2000 else long(n), r"
# The higher bits of a moment stay for two minutes.
_MOMENT = "(S[n & 0x1FFF] + M[n >> 13 & 0x3FFF] + R[n >> 27] if (n := {0}) >= 0x8000000 else long(n))"


class _Rest(dict[int, bytes]):
    """What follows the first two bytes of a number, not doubled: of small numbers always the same."""

    def __missing__(self, rest: int) -> bytes:
        if len(self) >= _TABLE:
            self.clear()
        # The bytes of a number that zigzag would make so.
        encoded = self[rest] = long_bytes(-(rest + 1 >> 1) if rest & 1 else rest >> 1)
        return encoded


_REST = _Rest()


class Source:
    """Takes the parts in the schema's order, then gives the function."""

    def __init__(self, texts: Texts) -> None:
        self._names: dict[str, Any] = {
            "W": WHOLE, "S": START, "M": MIDDLE, "R": _REST, "T": texts, "text": text_bytes, "long": long_bytes,
            "join": b"".join,
        }  # fmt: skip
        self._parts: list[str | bytes] = []
        self._lets: list[str] = []

    def constant(self, encoded: bytes) -> None:
        """The same bytes in every record."""
        last = self._parts[-1] if self._parts else None
        if isinstance(last, bytes):
            self._parts[-1] = last + encoded
        else:
            self._parts.append(encoded)

    def let(self, name: str, expression: str) -> None:
        """A name for a value that is used often."""
        self._lets.append(f"    {name} = {expression}\n")

    def value(self, field: Field, value: str) -> None:
        """What the expression `value` gives, as the field's type says."""
        match field["type"]:
            case {"type": "string", "logicalType": "uuid"}:
                self.constant(b"H")  # the length of every UUID's text
                self._parts.append(f"{value}.encode()")
            case "string" | {"type": "string"}:
                recurs = field["name"] in _RECURRING
                self._parts.append(f"T[{value}]" if recurs else _TEXT.format(value))
            case {"type": "long", "logicalType": "timestamp-micros"}:
                self._parts.append(_MOMENT.format(value))
            case "int" | "long":
                self._parts.append(_LONG.format(value))
            case {"type": "enum", "symbols": symbols}:
                self._parts.append(f"{self._named(Symbols(symbols))}[{value}]")
            case kind:
                self._parts.append(f"{self._named(_function(kind))}({value})")

    def _named(self, thing: object) -> str:
        name = f"f{len(self._names)}"
        self._names[name] = thing
        return name

    def compiled(self) -> Encode:
        """The function: a record's values to its bytes."""
        parts = "".join(f"{part if isinstance(part, str) else repr(part)}, " for part in self._parts)
        text = f"def encode(v):\n{''.join(self._lets)}    return join(({parts}))\n"
        exec(compile(text, "<avro encoder>", "exec"), self._names)  # noqa: S102 - made of the schema's own names
        made: Encode = self._names["encode"]
        return made


def compiled_chooser(
    inner: Sequence[str], functions: Mapping[object, Encode], make: Callable[[Values, object], Encode]
) -> Encode:
    """A function that looks at the shapes of the records `inner`, and calls the one that is known for them or made."""
    shapes = ", ".join(f"None if (r := v[{name!r}]) is None else tuple(r)" for name in inner)
    key = f"({shapes})" if len(inner) > 1 else shapes
    text = f"def choose(v):\n    k = {key}\n    return (functions.get(k) or make(v, k))(v)\n"
    names: dict[str, Any] = {"functions": functions, "make": make}
    exec(compile(text, "<avro encoder>", "exec"), names)  # noqa: S102 - made of the schema's own names
    made: Encode = names["choose"]
    return made


def default_bytes(field: Field) -> bytes:
    """What stands for a field that is not given. Raises KeyError for one without a default."""
    if "default" not in field:
        raise KeyError(f"{field['name']} has no default and must be given")
    source = Source(Texts())
    source.value(field, "v['default']")
    return source.compiled()(field)


def _function(kind: Any) -> Callable[[Any], bytes]:
    match kind:
        case "string":
            return text_bytes
        case "int" | "long":
            return long_bytes
        case {"type": "bytes", "logicalType": "decimal", "scale": scale}:
            return decimals_of(scale)
        case {"type": "map", "values": inner}:
            return map_of(_function(inner))
        case ["null", {"type": "record"}]:
            return _null
        case ["null", inner]:
            encode = _function(inner)
            return lambda value: b"\x00" if value is None else b"\x02" + encode(value)
    raise TypeError(f"the encoder knows no type {kind!r}")


def _null(_: None) -> bytes:
    return b"\x00"
