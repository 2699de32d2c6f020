"""The users of infra/clickhouse on a real server: each service does its work as its user, and no more.

The embedded server reads the very file that production puts into `users.d`.
"""

from __future__ import annotations

import os
import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest
from confluent_kafka import Producer
from tests.conftest import TopicNames
from tests.infra.own_server import OwnServer, own_servers, running
from typer.testing import CliRunner

from taximeter_infra.cli.app import app
from taximeter_infra.migrate import packaged
from taximeter_infra.stack.clickhouse_http import Answer, Endpoint
from taximeter_infra.stack.plan import StackAddresses

FILES = Path(__file__).parents[2] / "infra" / "clickhouse"
USERS = FILES / "users.d" / "taximeter.xml"
DENIED = 497
PASSWORDS = {
    name: f"secret of {name}"
    for name in ("MIGRATOR", "SINK", "AGGREGATOR", "QUOTA", "BILLING", "API", "OPERATOR", "ANALYST")
}
Run = Callable[..., str]


def views() -> set[str]:
    """The views that the migrations leave."""
    found: set[str] = set()
    for template in (template for migration in packaged() for template in migration.templates()):
        named = re.match(r"(CREATE|DROP)[A-Z ]* VIEW (?:IF (?:NOT )?EXISTS )?(\w+)", template)
        if named is not None:
            (found.discard if named[1] == "DROP" else found.add)(named[2])
    return found


def grants_of(user: str) -> list[str]:
    """What the file grants a user."""
    return [query.text or "" for query in ET.parse(USERS).findall(f"users/taximeter_{user}/grants/query")]


def test_the_analyst_has_every_view_and_nothing_else() -> None:
    """Every view but the keys, in the file of users and in views.sql, and no table but that of progress."""
    wanted = views() - {"api_keys"}
    granted = {grant.removeprefix("GRANT SELECT ON metering.") for grant in grants_of("analyst")}
    # A dashboard shows how far the rollups are, which no view does.
    assert granted == wanted | {"stored_rolled_up_batches"}
    assert set(re.findall(r"^ALTER TABLE metering\.(\w+) ", (FILES / "views.sql").read_text(), re.MULTILINE)) == wanted


def test_every_table_has_one_who_may_write_it() -> None:
    """A table that a migration adds is written by somebody: its grant must not be forgotten."""
    tables = {
        found[1]
        for migration in packaged()
        for template in migration.templates()
        if (found := re.match(r"CREATE TABLE IF NOT EXISTS (\w+)", template))
    } - {"stored_rates"}
    users = [user.tag.removeprefix("taximeter_") for user in ET.parse(USERS).findall("users/*")]
    granted = {
        grant.rpartition(".")[2] for user in users for grant in grants_of(user) if grant.startswith("GRANT INSERT ON")
    }
    assert granted == tables


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    """With the users of production beside those of the local stack."""
    (one,) = own_servers(tmp_path_factory.mktemp("users"), 1)
    (one.directory / "users.d").mkdir(parents=True)
    shutil.copy(USERS, one.directory / "users.d")
    with pytest.MonkeyPatch.context() as patch:
        for name, password in PASSWORDS.items():
            patch.setenv(f"TAXIMETER_{name}_SHA256", sha256(password.encode()).hexdigest())
        with running([one]):
            yield one


@pytest.fixture
def ask(server: OwnServer) -> Callable[[str, str], Answer]:
    """One statement as one of the users."""

    def asked(user: str, sql: str) -> Answer:
        endpoint = Endpoint("127.0.0.1", server.http_port, f"taximeter_{user}", PASSWORDS[user.upper()])
        return endpoint.ask(sql, timeout=60)

    return asked


@pytest.fixture
def run(
    server: OwnServer, local_stack: StackAddresses, topic_names: TopicNames, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """A command of the product, with the ClickHouse user that its service has."""
    topics = topic_names.quota_settings(2)
    for name, value in topics.model_dump().items():
        monkeypatch.setenv(f"TAXIMETER_TOPIC_{name}".upper(), str(value))
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", local_stack.bootstrap_servers)
    monkeypatch.setenv("TAXIMETER_SINK_GROUP_ID", topic_names.group)
    monkeypatch.setenv("TAXIMETER_QUOTA_GROUP_ID", f"{topic_names.group}.quota")

    def ran(user: str, *argv: str) -> str:
        url = server.url(f"taximeter_{user}", PASSWORDS[user.upper()].replace(" ", "%20"))
        monkeypatch.setenv("CLICKHOUSE_URL", url.get_secret_value())
        done = CliRunner().invoke(app, list(argv))
        assert done.exit_code == 0, f"{user}: {' '.join(argv)}: {done.output} {done.exception!r}"
        return done.output

    return ran


@pytest.mark.integration
def test_every_service_does_its_work_as_its_user_and_no_more(
    run: Run, ask: Callable[[str, str], Answer], server: OwnServer, topic_names: TopicNames
) -> None:
    """Migrations, sink (a bad record among the events), aggregator, quota service, invoices and people's commands run
    with their grants; the analyst reads the views; what is somebody else's is denied by the server."""
    run("migrator", "migrate")
    run("migrator", "migrate")
    run("operator", "topics", "create")
    run("operator", "simulate", "--events", "300", "--seed", "4")
    _produce_garbage(topic_names.events)
    assert "1 dead letters" in run("sink", "sink", "--until-caught-up")
    run("operator", "dlq", "redrive", "--force", "--dry-run")
    run("operator", "dlq", "drop", "--everything", "--yes", "--why", "a test")
    run("aggregator", "aggregate")
    run("aggregator", "aggregate", "--rebuild")
    run("quota", "quota", "service", "--until-caught-up")
    run("operator", "keys", "create", "test", "--account", "acme", "--scope", "read")
    run("api", "quota", "assign", "starter", "--account", "acme")
    run("api", "report", "summary")
    run("billing", "invoice", "run", "--json")
    admin = Endpoint("127.0.0.1", server.http_port, "taximeter", server.password)
    user = admin.ask("SELECT user_id FROM metering.run_costs WHERE user_id != '' ORDER BY 1 LIMIT 1").text.strip()
    assert "no sum has changed" in run("migrator", "erase", "--user", user, "--yes")
    run("migrator", "retention", "delete", "--before", "40d", "--yes")
    run("migrator", "retention", "set", "--texts", "90", "--yes")
    for statement in re.findall(r"^ALTER [^;]*", (FILES / "views.sql").read_text(), re.MULTILINE):
        assert (answer := admin.ask(statement)).ok, answer.text
    for view in sorted(views() - {"api_keys"}):
        assert (answer := ask("analyst", f"SELECT count() FROM metering.{view}")).ok, f"{view}: {answer.text}"
    _nothing_more(ask)


@pytest.mark.integration
def test_the_migrator_sees_what_others_do(ask: Callable[[str, str], Answer]) -> None:
    """Before it deletes events it waits for the aggregator's statements, so it must see them."""
    with ThreadPoolExecutor(1) as threads:
        work = threads.submit(ask, "aggregator", "SELECT sleep(3)")
        seen = "SELECT count() FROM system.processes WHERE user = 'taximeter_aggregator'"
        while not int((answer := ask("migrator", seen)).text or 0):
            assert answer.ok, answer.text
            assert not work.done()


def _nothing_more(ask: Callable[[str, str], Answer]) -> None:
    denied = {
        "sink": ["SELECT * FROM metering.stored_events", "SELECT * FROM metering.run_costs"],
        "aggregator": ["INSERT INTO metering.stored_events (account_id) VALUES ('x')"],
        "quota": ["INSERT INTO metering.stored_quota_plans (plan_id) VALUES ('x')"],
        "billing": ["INSERT INTO metering.stored_prices (provider) VALUES ('x')"],
        "api": ["INSERT INTO metering.stored_api_keys (key_id) VALUES ('x')"],
        "operator": ["INSERT INTO metering.stored_run_costs (run_id) VALUES ('x')"],
        "analyst": [
            "SELECT * FROM metering.stored_events",
            "SELECT * FROM metering.stored_api_keys",
            "SELECT * FROM metering.api_keys",
            # They have what erasures did, and what others ask.
            *(f"SELECT * FROM system.{name}" for name in ("mutations", "query_log", "processes")),
            "INSERT INTO metering.stored_prices (provider) VALUES ('x')",
        ],
        "migrator": ["CREATE DATABASE other"],
    }
    of_nobody = [
        "DROP DATABASE metering",
        "SYSTEM SHUTDOWN",
        "CREATE USER x",
        "SELECT * FROM url('http://127.0.0.1:1/', CSV)",
    ]
    destructive = ["DROP TABLE metering.stored_events", "TRUNCATE TABLE metering.stored_prices"]
    for user, statements in denied.items():
        for statement in [*statements, *of_nobody, *(destructive if user != "migrator" else [])]:
            answer = ask(user, statement)
            # What would write is refused to the read-only analyst before its grants are looked at.
            assert answer.code in ({DENIED, 164} if user == "analyst" else {DENIED}), f"{user}: {statement}: {answer}"


def _produce_garbage(topic: str) -> None:
    producer = Producer({"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"]})
    producer.produce(topic, key=b"x", value=b"\x00\x00\x00\x00\x02 no event")
    assert producer.flush(30) == 0
