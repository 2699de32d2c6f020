"""A request as a value, and words as the API writes them. Pure: both clients send the same calls.

Names are snake_case here and camelCase on the wire; `since` is `from` there. What is None is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Generic, TypeVar
from urllib.parse import quote
from uuid import UUID

from pydantic import BaseModel
from pydantic.alias_generators import to_camel

from taximeter_schemas.money import plain

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
M = TypeVar("M", bound=BaseModel)
Instant = datetime | date | str
"""A datetime with its zone, a day (its midnight, UTC), or the text of either."""

IDEMPOTENCY = "Idempotency-Key"


class Secret(Enum):
    """Which secret a route wants."""

    API = "api"
    WORKER = "worker"
    NONE = "none"


@dataclass(frozen=True)
class Reply:
    """What came back. `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Call(Generic[T_co]):
    """One request and how its answer is read. `path` is the route's template, which `place` fills.

    `may_repeat`: to send it again does no harm. `also`: statuses of 400 and above that are answers, not refusals.
    """

    method: str
    path: str
    read: Callable[[Reply], T_co]
    place: Mapping[str, str] = field(default_factory=dict)
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    may_repeat: bool = False
    also: frozenset[int] = frozenset()
    secret: Secret = Secret.API

    @property
    def url(self) -> str:
        """Path and place, without the query."""
        return self.path.format(**{name: quote(value, safe="") for name, value in self.place.items()})


def as_model(model: type[M]) -> Callable[[Reply], M]:
    """Reads an answer as a model. Raises ValueError for a body that is none."""

    def read(reply: Reply) -> M:
        return model.model_validate_json(reply.body)

    return read


def get(path: str, read: Callable[[Reply], T], words: Mapping[str, Any], **place: str) -> Call[T]:
    """A question; it may always be asked again."""
    return Call("GET", path, read, place=place, query=query_of(words), may_repeat=True)


def post(path: str, read: Callable[[Reply], T], words: Mapping[str, Any], **place: str) -> Call[T]:
    """A change. It is not sent twice unless the caller says that it may be."""
    return Call("POST", path, read, place=place, body=json_of(body_of(words)), headers={**_JSON})


def query_of(words: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Parameters of a query; a list is the same name several times."""
    found: list[tuple[str, str]] = []
    for name, value in words.items():
        many = value if isinstance(value, list | tuple) else [value]
        found += [(wire_name(name), _text(one)) for one in many if one is not None]
    return tuple(found)


def body_of(words: Mapping[str, Any]) -> dict[str, Any]:
    """The object of a body."""
    return {wire_name(name): value for name, value in words.items() if value is not None}


def json_of(value: object) -> bytes:
    """JSON with amounts as exact texts. Raises TypeError and ValueError for what has no form there."""
    return json.dumps(value, default=_form, separators=(",", ":"), allow_nan=False).encode()


def wire_name(name: str) -> str:
    """The API's word for one of ours."""
    return "from" if name == "since" else to_camel(name)


def moment_text(value: datetime | date) -> str:
    """ISO 8601 in UTC. Raises ValueError for a datetime without a zone."""
    if not isinstance(value, datetime):
        return value.isoformat()
    if value.tzinfo is None:
        raise ValueError("a time needs its zone; write datetime(..., tzinfo=UTC)")
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(_form(value)) if not isinstance(value, int) else str(value)


def _form(value: object) -> Any:
    if isinstance(value, datetime | date):
        return moment_text(value)
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence | frozenset | set):
        return list(value)
    raise TypeError(f"a {type(value).__name__} has no form in JSON")


_JSON = {"Content-Type": "application/json"}
