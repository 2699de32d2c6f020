"""Where schema ids come from: a Confluent-compatible registry, or the packaged files.

Without `SCHEMA_REGISTRY_URL` the packaged files are the registry and a schema's id is its file's version, so a laptop
needs no server. With it, ids are the registry's. Ids are immutable in both, so an answer is kept for good.

Failures: an id of which the registry says that it has no such schema is Poison (`unknown_schema`); a registry that does
not answer is Retryable, so that an outage never sends good events to the dead letters.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import TYPE_CHECKING, Final, Protocol

import fastavro
from fastavro.types import Schema

from taximeter_schemas import avro_files
from taximeter_schemas.errors import Misconfigured, Poison, Retryable
from taximeter_schemas.settings import RegistrySettings

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import SchemaRegistryClient

SUBJECT = "metering.events-value"
# What the subject is to be held to: less lets schemas in that lose events.
WANTED_MODE: Final = "FULL_TRANSITIVE"
_SCHEMA_NOT_FOUND = 40403


class Registry(Protocol):
    """Schemas by id, and the id under which this process writes."""

    def schema(self, schema_id: int) -> Schema:
        """The writer's schema, parsed. Raises Poison (`unknown_schema`) or Retryable."""

    def current_id(self) -> int:
        """The id of the current version of `MeterEvent`. Raises Retryable or Misconfigured."""


class PackagedRegistry:
    """The files that come with the package: id = version."""

    def schema(self, schema_id: int) -> Schema:
        if schema_id not in avro_files.FROZEN:
            known = ", ".join(str(version) for version in avro_files.FROZEN)
            raise Poison("unknown_schema", f"schema id {schema_id} is not one of the packaged versions ({known})")
        return avro_files.parsed(schema_id)

    def current_id(self) -> int:
        return avro_files.CURRENT_VERSION


class HttpRegistry:
    """A Confluent-compatible registry over HTTP. Registers the current version when it first writes."""

    def __init__(self, client: SchemaRegistryClient, subject: str = SUBJECT) -> None:
        self._client = client
        self._subject = subject
        self._schemas: dict[int, Schema] = {}
        self._current: int | None = None
        self._lock = threading.Lock()

    def schema(self, schema_id: int) -> Schema:
        found = self._schemas.get(schema_id)
        if found is None:
            found = self._schemas[schema_id] = self._fetch(schema_id)
        return found

    def current_id(self) -> int:
        with self._lock:
            if self._current is None:
                self._current = self._register()
            return self._current

    def _fetch(self, schema_id: int) -> Schema:
        from confluent_kafka.schema_registry import SchemaRegistryError

        try:
            answer = self._client.get_schema(schema_id)
        except SchemaRegistryError as error:
            # A 404 alone may be a proxy's, in front of a registry that is being restarted.
            if error.error_code == _SCHEMA_NOT_FOUND:
                raise Poison("unknown_schema", f"the schema registry has no schema {schema_id}") from error
            raise Retryable(f"the schema registry answered {error.http_status_code}") from error
        except unreachable() as error:
            raise Retryable("the schema registry does not answer") from error
        try:
            return fastavro.parse_schema(json.loads(answer.schema_str or ""), named_schemas={})
        # Whatever stands there was not written by us; it must not stop the sink.
        except Exception as error:
            raise Poison("unknown_schema", f"schema {schema_id} of the registry is not Avro") from error

    def _register(self) -> int:
        from confluent_kafka.schema_registry import Schema as RegisteredSchema
        from confluent_kafka.schema_registry import SchemaRegistryError

        text = avro_files.text_of(avro_files.CURRENT_VERSION)
        try:
            return int(self._client.register_schema(self._subject, RegisteredSchema(text, "AVRO")))
        except SchemaRegistryError as error:
            if error.http_status_code in {409, 422}:
                raise Misconfigured(
                    f"the schema registry refuses version {avro_files.CURRENT_VERSION} of {self._subject}",
                    mend=f"look at the subject's compatibility mode, which should be {WANTED_MODE} as the versions of"
                    " Taximeter are; `taximeter schema check` says what is in the way",
                ) from error
            raise Retryable(f"the schema registry answered {error.http_status_code}") from error
        except unreachable() as error:
            raise Retryable("the schema registry does not answer") from error


def unreachable() -> tuple[type[Exception], ...]:
    """What the registry's client raises when nobody answers; it speaks HTTP by either of two libraries."""
    libraries = (sys.modules.get(name) for name in ("httpx", "httpx2"))
    return (OSError, *(library.HTTPError for library in libraries if library is not None))


def open_registry(settings: RegistrySettings) -> Registry:
    """The registry that the settings name."""
    return PackagedRegistry() if settings.url is None else HttpRegistry(open_client(settings))


def open_client(settings: RegistrySettings, **further: object) -> SchemaRegistryClient:
    """A client of the registry that is named; `further` are its options. Raises Misconfigured where it is missing."""
    try:
        from confluent_kafka.schema_registry import SchemaRegistryClient
    except ImportError as error:
        raise Misconfigured(
            "SCHEMA_REGISTRY_URL is set, but the registry client's dependencies are not installed",
            mend="pip install 'taximeter[registry]'",
        ) from error
    config: dict[str, object] = {"url": settings.url, **further}
    if settings.basic_auth is not None:
        config["basic.auth.user.info"] = settings.basic_auth.get_secret_value()
    return SchemaRegistryClient(config)
