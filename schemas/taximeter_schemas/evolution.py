"""What may change between two versions of an Avro schema, and what may not: pure rules, each with its sentence.

A change is safe if both sides may be upgraded in any order without an event that is lost, refused or read differently:
every version reads every other, and what both know they read alike. That is Avro's FULL_TRANSITIVE and a little more,
because a counter that a reader silently leaves out is money: no field goes away or gets another name, and no default
changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import fastavro
from fastavro.types import Schema

from taximeter_schemas.errors import Misconfigured

# What makes a type another one.
_TRAITS: Final = ("logicalType", "precision", "scale", "size")
_NO_DEFAULT: Final = object()


@dataclass(frozen=True)
class Change:
    """One difference. `path` is the field's (`ai.input_tokens`), `kind` a word for machines, `said` for people."""

    path: str
    kind: str
    is_safe: bool
    said: str


def parse(text: str) -> Schema:
    """A schema file as fastavro wants it. Raises Misconfigured for what is no Avro record."""
    try:
        parsed = fastavro.parse_schema(json.loads(text), named_schemas={})
    # The library raises whatever the text leads it into.
    except Exception as error:
        raise Misconfigured(
            f"this is no Avro schema ({type(error).__name__}: {error})",
            mend="copy the newest meter_event.v*.avsc and change the copy",
        ) from error
    if not isinstance(parsed, dict) or parsed.get("type") != "record":
        raise Misconfigured("the schema is no record", mend="copy the newest meter_event.v*.avsc and change the copy")
    return parsed


def changes(old: Schema, new: Schema) -> list[Change]:
    """What differs from one parsed record schema to the next, in the order of the fields."""
    comparison = _Comparison(_named_types(old), _named_types(new))
    return list(comparison.types("", old, new))


def refusals(published: Sequence[Schema], candidate: Schema) -> list[Change]:
    """The unsafe changes from any published version to the candidate, each said once."""
    found = (change for old in published for change in changes(old, candidate) if not change.is_safe)
    return list(dict.fromkeys(found))


def same(one: Schema, other: Schema) -> bool:
    """Whether two schemas have the same fields, types and defaults, whatever their order and their words."""
    return not changes(one, other)


def paths(schema: Schema) -> list[str]:
    """The dotted paths of the fields that carry values: `account_id`, `ai.input_tokens`; a group itself is none."""
    named = _named_types(schema)

    def below(record: Mapping[str, Any], prefix: str, above: frozenset[str]) -> Iterator[str]:
        for field in record["fields"]:
            path = f"{prefix}{field['name']}"
            inner = _record_in(field["type"], named)
            if inner is None or inner["name"] in above:
                yield path
            else:
                yield from below(inner, f"{path}.", above | {inner["name"]})

    root = _resolved(schema, named)
    return list(below(root, "", frozenset({root["name"]})))


class _Comparison:
    """Two schemas, walked together. A pair of named types is looked at once: they may contain themselves."""

    def __init__(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        self._old = old
        self._new = new
        self._seen: set[tuple[str, str]] = set()

    def types(self, path: str, old: Any, new: Any) -> Iterator[Change]:
        """The differences of two types."""
        old, new = _resolved(old, self._old), _resolved(new, self._new)
        if isinstance(old, list) or isinstance(new, list):
            yield from self._unions(path, old, new)
            return
        was, becomes = _title(old), _title(new)
        if was != becomes:
            yield _unsafe(path, "type_changed", f"changes its type from {was} to {becomes}; add a new field instead")
            return
        if "name" in old:
            if (old["name"], new["name"]) in self._seen:
                return
            self._seen.add((old["name"], new["name"]))
        match old["type"]:
            case "record":
                yield from self._records(path, old, new)
            case "enum":
                yield from _enums(path, old, new)
            case "map":
                yield from self.types(f"{path}{{}}", old["values"], new["values"])
            case "array":
                yield from self.types(f"{path}[]", old["items"], new["items"])

    def _unions(self, path: str, old: Any, new: Any) -> Iterator[Change]:
        was = [_title(_resolved(branch, self._old)) for branch in (old if isinstance(old, list) else [old])]
        becomes = [_title(_resolved(branch, self._new)) for branch in (new if isinstance(new, list) else [new])]
        if was != becomes or not isinstance(old, list) or not isinstance(new, list):
            said = f"changes its type from {' or '.join(was)} to {' or '.join(becomes)}; add a new field instead"
            yield _unsafe(path, "type_changed", said)
            return
        for one, other in zip(old, new, strict=True):
            yield from self.types(path, one, other)

    def _records(self, path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
        prefix = f"{path}." if path else ""
        before = {field["name"]: field for field in old["fields"]}
        after = {field["name"]: field for field in new["fields"]}
        renamed = {
            alias: name
            for name, field in after.items()
            for alias in field.get("aliases", ())
            if alias in before and alias not in after and name not in before
        }
        for name, field in before.items():
            now = after.get(renamed.get(name, name))
            if now is None:
                yield _unsafe(
                    f"{prefix}{name}",
                    "field_removed",
                    "is gone; keep it, for events that have it lie in topics and archives (if it was renamed: keep"
                    " the old field, and add the new one beside it)",
                )
                continue
            if name in renamed:
                yield _renamed(f"{prefix}{name}", now["name"])
            yield from self.types(f"{prefix}{now['name']}", field["type"], now["type"])
            if field.get("default", _NO_DEFAULT) != now.get("default", _NO_DEFAULT):
                yield _unsafe(
                    f"{prefix}{now['name']}",
                    "default_changed",
                    "changes its default; events that were written without it would count differently",
                )
        for name, field in after.items():
            if name not in before and name not in renamed.values():
                yield _added(f"{prefix}{name}", field)
            if any(
                alias in before and renamed.get(alias) != name for alias in field.get("aliases", ()) if alias != name
            ):
                said = "has an alias that is another field's name, whose values it would take; leave the alias out"
                yield _unsafe(f"{prefix}{name}", "alias_taken", said)


def _renamed(path: str, name: str) -> Change:
    """An alias helps only who has the new schema: to all others, and to the sink's SQL, the value is not there."""
    said = (
        f"becomes {name}, and an alias does not help readers that know only the old name, nor the sink, which goes by"
        " name: they would read the default; keep the old field, and add the new one beside it"
    )
    return _unsafe(path, "field_renamed", said)


def _added(path: str, field: Mapping[str, Any]) -> Change:
    if "default" not in field:
        said = "is new and has no default, so events without it cannot be read; give it the empty value as default"
        return _unsafe(path, "field_without_default", said)
    return Change(path, "field_added", is_safe=True, said="is new")


def _enums(path: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for symbol in old["symbols"]:
        if symbol not in new["symbols"]:
            said = f"loses the word {symbol}; keep it, for events that say it lie in topics and archives"
            yield _unsafe(path, "symbol_removed", said)
    if old.get("default") != new.get("default"):
        said = "changes what stands for words that a reader does not know; leave the enum's default as it is"
        yield _unsafe(path, "symbol_default_changed", said)
    for symbol in new["symbols"]:
        if symbol in old["symbols"]:
            continue
        if "default" in old:
            said = f"gets the word {symbol}; who does not know it reads {old['default']}"
            yield Change(path, "symbol_added", is_safe=True, said=said)
        else:
            said = f"gets the word {symbol}, which readers refuse that do not know it; add a new field instead"
            yield _unsafe(path, "symbol_added", said)


def _unsafe(path: str, kind: str, said: str) -> Change:
    return Change(path or "the record", kind, is_safe=False, said=said)


def _named_types(schema: Any) -> dict[str, Any]:
    """Every named type of a parsed schema, by its full name."""
    found: dict[str, Any] = {}

    def collect(avro: Any) -> None:
        if isinstance(avro, list):
            for branch in avro:
                collect(branch)
        elif isinstance(avro, dict):
            if "name" in avro:
                found[avro["name"]] = avro
            for field in avro.get("fields", ()):
                collect(field["type"])
            for inner in ("type", "items", "values"):
                if isinstance(avro.get(inner), (dict, list)):
                    collect(avro[inner])

    collect(schema)
    return found


def _resolved(avro: Any, named: Mapping[str, Any]) -> Any:
    """A type as a dictionary, or a union as a list; names are looked up, wrappers taken off."""
    if isinstance(avro, list):
        return avro
    if isinstance(avro, str):
        return named.get(avro, {"type": avro})
    if isinstance(avro["type"], (dict, list)):
        return _resolved(avro["type"], named)
    return named.get(avro["type"], avro)


def _record_in(avro: Any, named: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The record that a field is, or may be."""
    found = _resolved(avro, named)
    for branch in found if isinstance(found, list) else [found]:
        resolved: Mapping[str, Any] = _resolved(branch, named)
        if resolved["type"] == "record":
            return resolved
    return None


def _title(avro: Any) -> str:
    """What must not change about a type: what it is, its name, and what makes its values."""
    if isinstance(avro, list):
        return "union"
    traits = [str(avro[trait]) for trait in _TRAITS if trait in avro]
    return " ".join([str(avro["type"]), *([avro["name"]] if "name" in avro else []), *traits])
