"""What operators look at: probes, metrics, logs, outages, and the process itself."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from starlette.testclient import TestClient
from tests.api.conftest import Filled
from tests.api.new_key import new_key
from tests.api.use import MINE

from taximeter_consumers.api.app import create_app
from taximeter_consumers.api.cursor import cursor_of, place_of
from taximeter_consumers.api.inputs import instant
from taximeter_consumers.api.problems import Problem
from taximeter_consumers.api.readiness import Facts, Standstill, Unread, judge, standstill
from taximeter_consumers.api.services import services_of
from taximeter_consumers.api.settings import ApiSettings
from taximeter_consumers.api.sink_lag import KafkaSinkLag
from taximeter_consumers.clickhouse import ClickHouse
from taximeter_infra.stack.room import free_ports
from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings, TopicSettings

SETTINGS = ApiSettings()
FINE = Facts(clickhouse=True, rollup_lag_seconds=1.0, last_stored_seconds=5.0, unread=Unread(0, {0: 7}), has_kafka=True)


def still(*looks: tuple[float, int, int]) -> Standstill:
    """After looks at (time, unread, committed)."""
    found = Standstill()
    for now, records, committed in looks:
        found = standstill(found, Unread(records, {0: committed}), now)
    return found


def test_ready_is_said_only_where_what_waits_moves() -> None:
    """A backlog that shrinks is fine; one that stands for longer than the bound is not; an empty log may stand."""
    moving = still((0, 100, 5), (100, 90, 15), (200, 80, 25))
    assert judge(FINE, moving, 210, SETTINGS).is_ready
    standing = still((0, 100, 5), (30, 100, 5), (61, 120, 5))
    verdict = judge(FINE, standing, 61, SETTINGS)
    assert not verdict.is_ready
    assert "no sink commits" in verdict.reasons[0]
    assert judge(FINE, still((0, 100, 5), (61, 0, 105)), 999, SETTINGS).is_ready


def test_a_server_that_is_away_is_not_ready() -> None:
    """ClickHouse, Kafka where there is one, rollups that are far behind."""
    for facts, word in (
        (Facts(has_kafka=False), "ClickHouse"),
        (Facts(clickhouse=True, has_kafka=True), "Kafka"),
        (Facts(clickhouse=True, rollup_lag_seconds=301.0), "rollups"),
    ):
        (reason,) = judge(facts, Standstill(), 0, SETTINGS).reasons
        assert word in reason
    assert judge(Facts(clickhouse=True, rollup_lag_seconds=0.0), Standstill(), 0, SETTINGS).is_ready


@given(st.text(max_size=60))
def test_any_text_is_an_instant_or_refused(text: str) -> None:
    """Never another error; an instant has its zone and lies in bounds."""
    try:
        moment = instant(text)
    except ValueError:
        return
    assert 2000 <= moment.year <= 2099
    assert moment.tzinfo is UTC


def test_instants_are_read_as_people_write_them() -> None:
    """A day, a zone, a plus sign that a query has made a space."""
    noon = datetime(2026, 11, 1, 12, tzinfo=UTC)
    for text in ("2026-11-01T12:00:00Z", "2026-11-01 12:00", "2026-11-01T14:00:00+02:00", "2026-11-01T14:00:00 02:00"):
        assert instant(text) == noon
    assert instant("2026-11-01") == datetime(2026, 11, 1, tzinfo=UTC)


@given(st.lists(st.one_of(st.integers(), st.text(max_size=20)), max_size=4), st.text(max_size=20))
def test_cursors_read_back_for_their_own_question_alone(place: list[Any], question: str) -> None:
    """Another question, or other kinds of values: refused."""
    cursor = cursor_of(place, {"q": question})
    kinds = [type(value) for value in place]
    assert place_of(cursor, {"q": question}, kinds) == place
    for wrong in ({"q": question + "x"}, {}):
        with pytest.raises(Problem):
            place_of(cursor, wrong, kinds)
    with pytest.raises(Problem):
        place_of(cursor, {"q": question}, [*kinds, int])


@pytest.mark.integration
def test_probes_and_metrics_need_no_key_and_name_no_account(client: TestClient, get: Callable[..., Any]) -> None:
    """The process lives, ClickHouse answers, and the metrics are those of the list."""
    get("/v1/usage", limit=1)
    assert client.get("/healthz").json() == {"status": "alive"}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["isReady"], ready.json()["kafka"]) == (200, True, None)
    text = client.get("/metrics").text
    assert 'taximeter_api_requests_total{method="GET",route="/v1/usage",status="200"}' in text
    assert "taximeter_rollup_lag_seconds 0.0" in text
    assert MINE not in text


@pytest.mark.integration
def test_a_log_line_has_the_route_and_neither_query_nor_key(client: TestClient, keys: dict[str, str]) -> None:
    """Whoever reads logs learns who asked, not for what."""
    with structlog.testing.capture_logs() as lines:
        client.get("/v1/usage", params={"userId": "private-name"}, headers={"X-API-Key": keys["mine"]})
    (line,) = lines
    assert (line["route"], line["status"], line["key_id"]) == ("/v1/usage", 200, keys["mine"].split("_")[1])
    assert "private-name" not in str(lines)
    assert keys["mine"].split("_")[2] not in str(lines)


@pytest.mark.integration
def test_readiness_looks_at_kafka(filled: Filled, kafka_settings: KafkaSettings, topic_names: Any) -> None:
    """A topic with nothing in it is no standstill; a topic that is not there is no answer."""
    from taximeter_infra.topics import ensure_topics

    ensure_topics(kafka_settings, topic_names.settings())
    for topic, wanted in ((topic_names.events, True), (f"{topic_names.events}.none", False)):
        services = services_of(filled.settings, SETTINGS, KafkaSinkLag(kafka_settings, topic, topic_names.group))
        with TestClient(create_app(services)) as client:
            told = client.get("/readyz").json()
        assert (told["kafka"], told["isReady"]) == (wanted, wanted), told
    assert TopicSettings().events


@pytest.mark.integration
def test_without_clickhouse_the_api_lives_and_says_when_to_come_back(filled: Filled, sql: ClickHouse) -> None:
    """503 with Retry-After on every read; not ready; alive."""
    (port,) = free_ports(1)
    services = services_of(ClickHouseSettings(url=SecretStr(f"http://127.0.0.1:{port}")), SETTINGS)
    with TestClient(create_app(services)) as client:
        answer = client.get("/v1/usage", headers={"X-API-Key": new_key(sql, MINE)})
        assert (answer.status_code, answer.json()["type"]) == (503, "/docs#unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200


@pytest.mark.integration
def test_a_question_that_is_too_large_is_a_400_that_says_so(filled: Filled, sql: ClickHouse) -> None:
    """The limits of a read are the caller's to mend, and no outage."""
    services = services_of(filled.settings, ApiSettings(query_memory_bytes=2**20))
    with TestClient(create_app(services)) as client:
        answer = client.get("/v1/usage/summary?context=customer", headers={"X-API-Key": new_key(sql, MINE)})
    assert (answer.status_code, answer.json()["type"]) == (400, "/docs#too-much")


@pytest.mark.integration
def test_the_process_answers_and_ends_when_told(filled: Filled, keys: dict[str, str]) -> None:
    """`taximeter api` on a free port: a request, SIGTERM, exit code 0."""
    import os
    import urllib.request

    environment = {
        **os.environ,
        "CLICKHOUSE_URL": filled.settings.url.get_secret_value(),
        "CLICKHOUSE_DATABASE": filled.settings.database,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "taximeter_infra", "api", "--port", "0", "--no-kafka"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        where = process.stdout.readline().split()[4].rstrip(";")
        request = urllib.request.Request(f"{where}/v1/usage?limit=1", headers={"X-API-Key": keys["mine"]})
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert len(json.load(answer)["usage"]) == 1
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, errors
    assert '"route": "/v1/usage"' in errors
    assert keys["mine"] not in errors
