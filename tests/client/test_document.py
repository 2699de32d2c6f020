"""The client against the OpenAPI document of the API: every route, every word, every member of every answer.

A route or a word that is new fails here until the client has it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, Required, get_args, get_origin, get_type_hints

import pytest
from pydantic import BaseModel, SecretStr
from pydantic.alias_generators import to_snake

from taximeter.client import AsyncTaximeter, Taximeter, asked, live
from taximeter.client.answers import live as told
from taximeter.client.call import Call
from taximeter.client.calls import billing, quotas
from taximeter.client.routes import Listing, Resource, Route
from taximeter_consumers.api.app import create_app
from taximeter_consumers.api.models import stream
from taximeter_consumers.api.services import services_of
from taximeter_consumers.api.settings import ApiSettings
from taximeter_schemas.settings import ClickHouseSettings

# Asked by pages in a browser, with a token of theirs.
OF_PAGES = {("get", "/embed/usage.json"), ("get", "/embed/stream")}
# What methods say by their names, and what the transport says.
SAID = {"format", "accept"}
SAMPLES: dict[str, Any] = {"events": [], "tokens": 1, "amounts": {"total_tokens": 1}, "attempts": True}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document; it needs no server."""
    made: dict[str, Any] = create_app(
        services_of(ClickHouseSettings(url=SecretStr("http://127.0.0.1:1")), ApiSettings())
    ).openapi()
    return made


def makers(resource: type[Resource[Any]]) -> Iterator[Callable[..., Call[Any]]]:
    """The functions behind the methods of a resource."""
    for part in vars(resource).values():
        if isinstance(part, Route | Listing):
            yield part.call


def all_makers() -> dict[tuple[str, str], list[Callable[..., Call[Any]]]]:
    """The functions behind all methods, by the route that they ask."""
    client = Taximeter("http://localhost", "tm_x")
    kinds = [kind for kind in type(client).__mro__ if kind is not object]
    resources = kinds + [type(one) for one in vars(client).values() if isinstance(one, Resource)]
    found: dict[tuple[str, str], list[Callable[..., Call[Any]]]] = {}
    for make in [*(make for one in resources for make in makers(one)), billing.export, live.stream_call]:
        call = make(**{name: SAMPLES.get(name, "x") for name, needed in words_of(make).items() if needed})
        found.setdefault((call.method.lower(), call.path), []).append(make)
    return found


def words_of(make: Callable[..., Call[Any]]) -> dict[str, bool]:
    """The arguments of a function by name, and whether each must be given."""
    words: dict[str, bool] = {}
    for one in inspect.signature(make).parameters.values():
        if one.kind is one.VAR_KEYWORD:
            kind = getattr(asked, one.annotation.removeprefix("Unpack[").removesuffix("]"))
            hints = get_type_hints(kind, include_extras=True)
            words |= {name: get_origin(hint) is Required for name, hint in hints.items()}
        else:
            words[one.name] = one.default is one.empty
    return words


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A schema behind its reference, or the one of several that is an object."""
    for one in schema.get("anyOf", ()):
        if "$ref" in one:
            return resolved(document, one)
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def known_words(document: dict[str, Any], operation: dict[str, Any]) -> set[str]:
    """What an operation takes, in our names."""
    parameters = {one["name"].replace("-", "_") for one in operation.get("parameters", ())}
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    names = parameters | resolved(document, body).get("properties", {}).keys()
    return {"since" if name == "from" else to_snake(name) for name in names}


def test_every_route_has_a_method(document: dict[str, Any]) -> None:
    """And no method asks a route that is not there."""
    routes = {(method, path) for path, methods in document["paths"].items() for method in methods}
    assert all_makers().keys() == routes - OF_PAGES


def test_every_word_of_a_route_can_be_said(document: dict[str, Any]) -> None:
    """Each parameter of path, query, header and body is an argument, and there is no other argument."""
    for (method, path), functions in all_makers().items():
        operation = document["paths"][path][method]
        wanted = known_words(document, operation) - SAID
        said = {word for make in functions for word in words_of(make)} - SAID
        if path == "/v1/quota/{subject}":
            said = said - {"account_id"} | {"subject"}
        if path == "/v1/events":
            wanted = {"events"}
        assert said == wanted, (method, path)


def test_every_member_of_an_answer_can_be_read(document: dict[str, Any]) -> None:
    """However deep: what the API says is in the client's models."""
    seen: set[tuple[str, str]] = set()
    for (method, path), functions in all_makers().items():
        for make in functions:
            answer = get_args(get_type_hints(make, localns=vars(asked))["return"])[0]
            responses = document["paths"][path][method]["responses"]
            good = next(responses[status] for status in ("200", "201", "202") if status in responses)
            schema = good.get("content", {}).get("application/json", {}).get("schema")
            if get_origin(answer) is tuple:
                (inner,) = resolved(document, schema)["properties"].values()
                compare(document, get_args(answer)[0], inner["items"], seen)
            elif isinstance(answer, type) and issubclass(answer, BaseModel):
                compare(document, answer, schema, seen)
    assert len(seen) > 30


def compare(document: dict[str, Any], model: type[BaseModel], schema: dict[str, Any], seen: set[Any]) -> None:
    """Fails where the schema has a member that the model has not, and where the model needs one that may be absent."""
    described = resolved(document, schema)
    if (model.__name__, described["title"]) in seen:
        return
    seen.add((model.__name__, described["title"]))
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    assert fields.keys() == described["properties"].keys(), model
    for name, inner in described["properties"].items():
        assert name in described.get("required", ()) or not fields[name].is_required(), (model, name)
        for part in models_in(fields[name].annotation):
            compare(document, part, inner.get("items", inner), seen)


def models_in(kind: Any) -> Iterator[type[BaseModel]]:
    """The models within a type."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for inner in get_args(kind):
        yield from models_in(inner)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (told.UsageChanged, stream.StreamUsage),
        (told.QuotaChanged, stream.StreamQuota),
        (told.Totals, stream.StreamTotals),
        (told.Freshness, stream.StreamFreshness),
        (told.Trouble, stream.StreamTrouble),
    ],
)
def test_events_of_the_stream_can_be_read(ours: type[BaseModel], theirs: type[BaseModel]) -> None:
    """The document has a stream as a text; its events are compared by their models."""
    assert ours.model_fields.keys() - {"event"} == theirs.model_fields.keys()


def test_both_clients_have_the_same_methods() -> None:
    """One word for one thing, awaited or not."""

    def names(client: Any) -> set[str]:
        found = {name for name in dir(client) if not name.startswith("_")} - {"transport"}
        inner = {(name, part) for name in found for part in dir(getattr(client, name)) if not part.startswith("_")}
        return found | {f"{name}.{part}" for name, part in inner if isinstance(getattr(client, name), Resource)}

    assert names(Taximeter("http://x")) == names(AsyncTaximeter("http://x"))
    assert "reservations.hold" in names(Taximeter("http://x"))


def test_methods_explain_themselves() -> None:
    """Each has a docstring and the signature of its words."""
    for functions in all_makers().values():
        for make in functions:
            assert make.__doc__
    client = Taximeter("http://x", "tm_x")
    assert inspect.signature(client.runs.get).parameters.keys() == {"run_id", "account_id", "attempts"}
    assert client.reservations.hold.__doc__ == quotas.reserve.__doc__
