"""The curl line of an operation of the OpenAPI document: its own secret, an example of each part that it needs."""

from __future__ import annotations

import json
from shlex import quote
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote as percent
from urllib.parse import urlencode

from pydantic.alias_generators import to_snake

if TYPE_CHECKING:
    from collections.abc import Mapping

# Secrets of the environment, by the schemes that carry them.
_KEY: Final = "TAXIMETER_API_KEY"


def curl_line(document: Mapping[str, Any], path: str, method: str) -> str:
    """The line for a shell that has `TAXIMETER_API_URL`, the secret and ids that are still to be made as variables."""
    operation = document["paths"][path][method]
    how = [*_streaming(operation), *_verb(method, operation), *_secret(document, operation)]
    where = f'"$TAXIMETER_API_URL{_filled(document, path, operation)}"'
    return " ".join(["curl", *how, *_body(document, operation), where])


def _streaming(operation: Mapping[str, Any]) -> list[str]:
    return ["-N"] if "text/event-stream" in operation["responses"].get("200", {}).get("content", {}) else []


def _verb(method: str, operation: Mapping[str, Any]) -> list[str]:
    implied = "post" if operation.get("requestBody") else "get"
    return [] if method == implied else ["-X", method.upper()]


def _secret(document: Mapping[str, Any], operation: Mapping[str, Any]) -> list[str]:
    for wanted in operation.get("security", ()):
        for name in wanted:
            scheme = document["components"]["securitySchemes"][name]
            if scheme["type"] == "http":
                return ["-H", f'"Authorization: {scheme["scheme"].capitalize()} ${_KEY}"']
            if scheme["name"] == "Authorization":
                return ["-H", f'"Authorization: {name.capitalize()} ${name.upper()}_TOKEN"']
            variable = _KEY if name == "header" else scheme["name"].upper().replace("-", "_")
            return ["-H", f'"{scheme["name"]}: ${variable}"']
    return []


def _body(document: Mapping[str, Any], operation: Mapping[str, Any]) -> list[str]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return []
    named = [one["value"] for one in content.get("examples", {}).values()]
    told = [*named, *_examples(document, content.get("schema", {}))]
    return ["-H", "'Content-Type: application/json'", "-d", quote(json.dumps(told[0])) if told else "'{}'"]


def _filled(document: Mapping[str, Any], path: str, operation: Mapping[str, Any]) -> str:
    query: dict[str, str] = {}
    for one in operation.get("parameters", ()):
        if one["in"] == "path":
            path = path.replace(f"{{{one['name']}}}", _place(document, one))
        elif one["in"] == "query" and one.get("required"):
            query[one["name"]] = _example(document, one)
    return f"{path}?{urlencode(query)}" if query else path


def _place(document: Mapping[str, Any], parameter: Mapping[str, Any]) -> str:
    told = _example(document, parameter)
    return percent(told, safe="") if told else f"${to_snake(parameter['name']).upper()}"


def _example(document: Mapping[str, Any], parameter: Mapping[str, Any]) -> str:
    schema = _resolved(document, parameter.get("schema", {}))
    told = [*schema.get("examples", ()), *schema.get("enum", ())]
    return str(told[0]) if told else ""


def _examples(document: Mapping[str, Any], schema: Mapping[str, Any]) -> list[Any]:
    options = [schema, *schema.get("anyOf", ())]
    return [told for one in options for told in _resolved(document, one).get("examples", ())]


def _resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref", "")
    found: Any = document
    for step in reference.removeprefix("#/").split("/") if reference else ():
        found = found[step]
    return found if reference else schema
