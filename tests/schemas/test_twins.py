"""The pydantic model and the Avro file say the same, in both directions."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from types import GenericAlias, NoneType, UnionType
from typing import Any, get_args, get_origin
from uuid import UUID

import pytest
from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from taximeter_schemas import avro_files
from taximeter_schemas.event import AiUsage, CodeUsage, HttpUsage, MeterEvent, PluginUsage

CURRENT = avro_files.schema_of(avro_files.CURRENT_VERSION)
LOGICAL = {"uuid": UUID, "timestamp-micros": datetime, "decimal": Decimal}
PLAIN = {"string": str, "long": int, "int": int}
BOUNDS = {"long": 2**63 - 1, "int": 2**31 - 1}


def records() -> dict[str, dict[str, Any]]:
    """Every record of the Avro file by its name."""
    found = {CURRENT["name"]: CURRENT}
    for field in CURRENT["fields"]:
        if isinstance(field["type"], list):
            found |= {branch["name"]: branch for branch in field["type"] if branch != "null"}
    return found


MODELS = {model.__name__: model for model in (MeterEvent, AiUsage, HttpUsage, PluginUsage, CodeUsage)}


def python_type(avro: Any) -> Any:
    """The annotation that an Avro type asks for."""
    match avro:
        case str():
            return PLAIN[avro]
        case ["null", other]:
            return python_type(other) | None
        case {"logicalType": name}:
            return LOGICAL[name]
        case {"type": "map", "values": values}:
            return dict[str, python_type(values)]  # type: ignore[misc]  # built at run time
        case {"type": "enum", "symbols": symbols}:
            return tuple(symbols)
        case {"type": "record", "name": name}:
            return MODELS[name]
    raise AssertionError(avro)


def model_type(annotation: Any) -> Any:
    """The annotation of a model's field in the same words."""
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return tuple(symbol.value for symbol in annotation)
    if get_origin(annotation) is UnionType or NoneType in get_args(annotation):
        (inner,) = (part for part in get_args(annotation) if part is not NoneType)
        # Annotated inside a union keeps its metadata; the type itself comes first.
        return (get_args(inner)[0] if hasattr(inner, "__metadata__") else inner) | None
    if get_origin(annotation) is dict:
        key, value = get_args(annotation)
        plain = get_args(value)[0] if hasattr(value, "__metadata__") else value
        return GenericAlias(dict, (key, plain))
    return annotation


def default_of(model: type[BaseModel], name: str) -> Any:
    """A field's default, PydanticUndefined where it is required."""
    return model.model_fields[name].get_default(call_default_factory=True, validated_data={})


@pytest.mark.parametrize("name", MODELS)
def test_fields_have_one_order(name: str) -> None:
    """Model and record have the same fields in the same order."""
    assert list(MODELS[name].model_fields) == [field["name"] for field in records()[name]["fields"]]


def test_every_record_has_its_model() -> None:
    """No record of the Avro file lacks a model, no model a record."""
    assert set(records()) == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_fields_have_one_type(name: str) -> None:
    """Each field's type is the same: numbers, texts, ids, times, money, enum symbols in order, groups."""
    model = MODELS[name]
    found = {field["name"]: python_type(field["type"]) for field in records()[name]["fields"]}
    assert {key: model_type(info.annotation) for key, info in model.model_fields.items()} == found


@pytest.mark.parametrize("name", MODELS)
def test_fields_have_one_default(name: str) -> None:
    """What Avro fills in, pydantic fills in; what Avro demands, pydantic demands."""
    for field in records()[name]["fields"]:
        default = default_of(MODELS[name], field["name"])
        assert default == field.get("default", PydanticUndefined), field["name"]


@pytest.mark.parametrize("name", MODELS)
def test_integers_have_one_range(name: str) -> None:
    """A number that pydantic takes fits into its Avro type."""
    for field in records()[name]["fields"]:
        if field["type"] in ("long", "int"):
            bound = BOUNDS[field["type"]]
            assert MODELS[name].model_fields[field["name"]].metadata == [Ge(-bound), Le(bound)], field["name"]


def test_every_enum_can_be_unknown() -> None:
    """Each enum has the default symbol `unknown`, which is what makes new symbols readable for old readers."""
    enums = [field["type"] for record in records().values() for field in record["fields"]]
    enums = [kind for kind in enums if isinstance(kind, dict) and kind["type"] == "enum"]
    assert len(enums) == 5
    assert all(kind["default"] == "unknown" == kind["symbols"][0] for kind in enums)


def test_no_event_takes_unknown_fields() -> None:
    """A misspelt field is an error and never silently dropped."""
    assert all(model.model_config["extra"] == "forbid" and model.model_config["frozen"] for model in MODELS.values())
