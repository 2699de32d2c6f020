"""One filled database and one application for all tests of the API: they only read. Keys of every kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from tests.api.embedding import Place, placed
from tests.api.new_key import new_key
from tests.api.use import MINE, RIVAL, fill
from tests.databases import Databases
from tests.quota.sdk.conftest import Site, new_site, serving
from tests.rollups.database import with_book

from taximeter_consumers.api.app import create_app
from taximeter_consumers.api.keys import ALL_ACCOUNTS
from taximeter_consumers.api.services import Services, services_of
from taximeter_consumers.api.settings import ApiSettings
from taximeter_consumers.clickhouse import ClickHouse, connect
from taximeter_schemas.settings import ClickHouseSettings

if TYPE_CHECKING:
    from tests.api.documented import Documented
    from tests.api.writing import Writing

__all__ = ["new_site", "serving"]  # fixtures of the quota SDK's tests: a site with a service that decides


@dataclass(frozen=True)
class Filled:
    """The database, and how to reach it."""

    settings: ClickHouseSettings
    clickhouse: ClickHouse


@pytest.fixture(scope="session")
def filled(databases: Databases) -> Iterator[Filled]:
    """What `use.fill` leaves; nobody writes to it but keys."""
    with databases.borrowed() as settings, with_book(settings) as clickhouse:
        fill(clickhouse)
        yield Filled(settings, clickhouse)


@pytest.fixture(scope="session")
def sql(filled: Filled) -> ClickHouse:
    """To ask the same by SQL."""
    return filled.clickhouse


@pytest.fixture(scope="session")
def keys(filled: Filled) -> dict[str, str]:
    """Keys by whose they are."""
    accounts = {"operator": ALL_ACCOUNTS, "mine": MINE, "rival": RIVAL}
    return {name: new_key(filled.clickhouse, account) for name, account in accounts.items()}


@pytest.fixture(scope="session")
def services(filled: Filled) -> Iterator[Services]:
    """Over the filled database, without Kafka."""
    found = services_of(filled.settings, ApiSettings(key_cache_seconds=600))
    yield found
    found.close()


@pytest.fixture(scope="session")
def app(services: Services) -> FastAPI:
    """The application."""
    return create_app(services)


@pytest.fixture(scope="session")
def client(app: FastAPI) -> Iterator[TestClient]:
    """Without a key. What nobody foresaw comes back as an answer."""
    with TestClient(app, raise_server_exceptions=False) as found:
        yield found


Get = Callable[..., Any]


def getter(client: TestClient, key: str) -> Get:
    """Asks with a key; the answer must be 200, and comes as JSON with amounts as they are written."""

    def get(path: str, **parameters: Any) -> Any:
        answer = client.get(path, params=parameters, headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == 200, answer.text
        return json.loads(answer.text)

    return get


@pytest.fixture(scope="session")
def get(client: TestClient, keys: dict[str, str]) -> Get:
    """As an operator."""
    return getter(client, keys["operator"])


@pytest.fixture(scope="session")
def get_mine(client: TestClient, keys: dict[str, str]) -> Get:
    """As the account MINE."""
    return getter(client, keys["mine"])


@pytest.fixture
def open_clickhouse(filled: Filled) -> Iterator[ClickHouse]:
    """A connection of the test's own."""
    connection = connect(filled.settings)
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def writing(serving: Site) -> Iterator[Writing]:
    """The API over a real broker, ClickHouse and quota service; each test takes accounts of its own."""
    from tests.api.writing import writing_at

    with writing_at(serving) as found:
        yield found


@pytest.fixture(scope="module")
def world(new_site: Callable[[], Site]) -> Iterator[Documented]:
    """The world of the documents, and an API on a socket."""
    from tests.api.documented import documented_world
    from tests.api.writing import writing_at

    site = new_site()
    site.start()
    with writing_at(site) as writing, documented_world(writing) as found:
        yield found


@pytest.fixture(scope="module")
def place(databases: Databases) -> Iterator[Place]:
    """One server of the embedded page for the module; each test takes accounts of its own."""
    with placed(databases) as found:
        yield found
