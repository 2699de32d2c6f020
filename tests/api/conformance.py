"""Whether a route does what the OpenAPI document says, by requests that are generated from the document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import schemathesis
from hypothesis import given
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.properties import on_servers

from taximeter_consumers.api.app import create_app
from taximeter_consumers.api.services import Services

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


class KeptOpen(Services):
    """Services that an application which ends leaves open: whoever made them closes them."""

    def close(self) -> None:
        """Not yet."""


def described(services: Services) -> Any:
    """The document as schemathesis reads it, which starts and ends the application with every request."""
    kept = KeptOpen(**{one.name: getattr(services, one.name) for one in fields(services)})
    return schemathesis.openapi.from_asgi("/openapi.json", create_app(kept))


def assert_conforms(operation: Any, headers: Mapping[str, str], examples: int) -> None:
    """No 5xx, and no status, content or body that the document does not have. `operation` is schemathesis's."""

    @on_servers(examples)
    @given(case=operation.as_strategy())
    def holds(case: Any) -> None:
        case.call_and_validate(headers=dict(headers), checks=CHECKS)

    holds()
