"""Schema ids: from the packaged files, or from a registry over HTTP."""

from __future__ import annotations

import copy
import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from pydantic import SecretStr
from tests.schemas.registry_server import RegistryState, registry_server

from taximeter_schemas import avro_files, codec, frame
from taximeter_schemas.errors import Misconfigured, Poison, Retryable
from taximeter_schemas.event import MeterEvent
from taximeter_schemas.registry import SUBJECT, WANTED_MODE, HttpRegistry, PackagedRegistry, Registry, open_registry
from taximeter_schemas.settings import RegistrySettings
from taximeter_schemas.uuid7 import compose

EVENT = MeterEvent(event_id=compose(1_750_000_000_000, b"0123456789"), occurred_at=datetime(2025, 6, 15, tzinfo=UTC))


@pytest.fixture
def server() -> Iterator[RegistryState]:
    """A registry without schemas."""
    with registry_server() as state:
        yield state


def registry_at(url: str) -> Registry:
    """A registry whose client does not try again by itself, so that failures are quick."""
    return HttpRegistry(SchemaRegistryClient({"url": url, "max.retries": 0}))


def test_packaged_ids_are_versions() -> None:
    """Without a URL the packaged files are the registry."""
    registry = open_registry(RegistrySettings(url=None))
    assert isinstance(registry, PackagedRegistry)
    assert registry.current_id() == avro_files.CURRENT_VERSION
    assert registry.schema(1) == avro_files.parsed(1)


def test_an_unpublished_version_is_poison() -> None:
    """An id that no file has sets the record aside."""
    with pytest.raises(Poison) as poison:
        PackagedRegistry().schema(2**32 - 1)
    assert poison.value.reason == "unknown_schema"


def test_writing_registers_once(server: RegistryState) -> None:
    """The first write registers the current version under its subject; later ones ask nothing."""
    registry = open_registry(RegistrySettings(url=server.url))
    assert [registry.current_id() for _ in range(3)] == [101, 101, 101]
    assert server.asked == [f"POST /subjects/{SUBJECT}/versions"]
    assert json.loads(server.schemas[101]) == avro_files.schema_of(avro_files.CURRENT_VERSION)


def test_events_go_round_over_http(server: RegistryState) -> None:
    """What one process writes with the registry's id another reads, and asks for the schema once."""
    header = frame.header(open_registry(RegistrySettings(url=server.url)).current_id())
    reader = open_registry(RegistrySettings(url=server.url))
    assert [codec.decode(codec.encode(EVENT, header), reader) for _ in range(3)] == [EVENT] * 3
    assert server.asked[1:] == ["GET /schemas/ids/101"]


def test_a_newer_schema_of_the_registry_is_read(server: RegistryState) -> None:
    """A body of a version that is newer than this process decodes to what it knows."""
    newer = copy.deepcopy(avro_files.schema_of(avro_files.CURRENT_VERSION))
    newer["fields"].append({"name": "region", "type": "string", "default": ""})
    schema_id = server.register(json.dumps(newer))
    value = codec.encode(EVENT, frame.header(schema_id)) + b"\x04eu"
    assert codec.decode(value, open_registry(RegistrySettings(url=server.url))) == EVENT


def test_an_unknown_id_is_poison(server: RegistryState) -> None:
    """The registry's own code 40403 says that the id will never be known."""
    with pytest.raises(Poison) as poison:
        registry_at(server.url).schema(7)
    assert poison.value.reason == "unknown_schema"


def test_a_schema_that_is_not_avro_is_poison(server: RegistryState) -> None:
    """Something else under an id does not stop the sink."""
    with pytest.raises(Poison):
        registry_at(server.url).schema(server.register("syntax = 'proto3';"))


@pytest.mark.parametrize("status", [404, 500, 503])
def test_a_failing_registry_is_retryable(server: RegistryState, status: int) -> None:
    """An outage of the registry never sends good events to the dead letters, and is over when it is over."""
    registry, server.fails_with = registry_at(server.url), status
    with pytest.raises(Retryable):
        registry.schema(101)
    with pytest.raises(Retryable):
        registry.current_id()
    server.fails_with = None
    assert registry.current_id() == 101


def test_an_absent_registry_is_retryable() -> None:
    """Nobody listens: try again later."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        registry = registry_at(f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(Retryable, match="does not answer"):
            registry.schema(1)
        with pytest.raises(Retryable, match="does not answer"):
            registry.current_id()


@pytest.mark.parametrize("status", [409, 422])
def test_a_refused_schema_asks_the_operator(server: RegistryState, status: int) -> None:
    """A subject whose rules refuse our schema is a matter of configuration."""
    server.fails_with = status
    with pytest.raises(Misconfigured, match="compatibility") as refused:
        registry_at(server.url).current_id()
    # The same word as that of `schema check`.
    assert WANTED_MODE in refused.value.mend
    assert "BACKWARD" not in refused.value.mend


def test_credentials_are_sent(server: RegistryState) -> None:
    """User and password reach the registry."""
    registry = open_registry(RegistrySettings(url=server.url, basic_auth=SecretStr("meter:hush")))
    registry.current_id()
    assert server.authorizations[0].startswith("Basic ")
