"""What services say of themselves: names and labels of closed sets, a beat, their last errors, and an end."""

from __future__ import annotations

import inspect
import json
import math
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from tests.monitoring.grafana import INFRA

from taximeter_consumers.clickhouse import ClickHouse, connect
from taximeter_consumers.quota.service.metrics import QuotaMetrics
from taximeter_consumers.rollups.follow import follow
from taximeter_consumers.rollups.metrics import RollupMetrics
from taximeter_consumers.sink.guards import REASONS
from taximeter_consumers.sink.metrics import SinkMetrics
from taximeter_infra import healthy
from taximeter_infra.served import KINDS, PATIENCE, Served, kind_of, parsed
from taximeter_infra.signals import StopSign
from taximeter_infra.status.service_eyes import ask, read
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


def fetched(port: int, path: str) -> tuple[int, str]:
    """Status and body."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def test_metrics_and_health_are_served_and_end_with_the_work() -> None:
    """Both paths, nothing else; afterwards nobody listens and no thread is left. A port that is taken has a mend."""
    served = Served("sink", StopSign(), SinkMetrics().registry)
    before = threading.active_count()
    with served.at("127.0.0.1:0") as port:
        status, text = fetched(port, "/metrics")
        assert status == 200
        assert "taximeter_sink_records_total 0.0" in text
        assert json.loads(fetched(port, "/healthz")[1])["status"] == "alive"
        assert fetched(port, "/")[0] == 404
        with pytest.raises(Misconfigured, match=str(port)), Served("quota", StopSign()).at(f":{port}"):
            pass
    assert threading.active_count() == before
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_no_proxy_stands_between_a_service_and_who_asks_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the environment, that nobody answers at, makes no service sick."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with Served("sink", StopSign(), SinkMetrics().registry).at("127.0.0.1:0") as port:
        found = ask(f"127.0.0.1:{port}", now=time.time)
        assert (found.name, found.errors) == ("sink", {})
        (tmp_path / "cmdline").write_text("\0".join(["taximeter", "sink", "--metrics", f"127.0.0.1:{port}", ""]))
        assert healthy.main(tmp_path) == 0
    assert healthy.main(tmp_path) == 1


def test_a_sink_is_patient_with_a_clickhouse_that_swallows_packets() -> None:
    """An INSERT waits for its limit; nobody is started again for that, and the alert is as patient."""
    limit = inspect.signature(connect).parameters["timeout_seconds"].default
    assert PATIENCE["sink"] >= 2 * limit
    rules = (INFRA / "prometheus" / "taximeter.rules.yml").read_text(encoding="utf-8")
    told = re.findall(r'beat_timestamp_seconds\{service="(\w+)"\} > (\d+)', rules)
    assert {name: float(seconds) for name, seconds in told} == {
        name: PATIENCE[name] for name in ("sink", "quota", "aggregator")
    }


def test_series_of_a_sink_are_there_before_anything_goes_wrong() -> None:
    """Each reason and step begins at 0: a burst at once has an increase then, and the alert fires."""
    text = Served("sink", StopSign(), SinkMetrics().registry).text().decode()
    for reason in (*REASONS, "malformed", "invalid", "refused", "other"):
        assert f'taximeter_sink_dead_letters_total{{reason="{reason}"}} 0.0' in text
    for step in ("insert", "settle"):
        assert f'taximeter_sink_retries_total{{step="{step}"}} 0.0' in text


def test_facts_are_old_from_the_start_on() -> None:
    """While ClickHouse never answered, their age grows from the start; no membership begins it anew."""
    metrics = QuotaMetrics()
    metrics.counters.answered_at -= 90
    sample = re.search(r"^taximeter_quota_facts_age_seconds (\S+)$", told(metrics), re.MULTILINE)
    assert sample is not None
    assert 90 <= float(sample[1]) < 900
    metrics.counters.memberships += 1
    assert metrics.counters.facts_age_seconds >= 90


def test_after_a_failed_tick_nobody_claims_to_know_the_lag() -> None:
    """The last one that was known says nothing of now."""
    clickhouse = connect_nowhere()
    metrics, stop = RollupMetrics(), threading.Event()
    metrics.lag.set(0.3)
    failing = threading.Thread(target=follow, args=(clickhouse, stop), kwargs={"counted": metrics})
    failing.start()
    end = time.monotonic() + 30
    while metrics.failures._value.get() == 0 and time.monotonic() < end:
        stop.wait(0.01)
    stop.set()
    failing.join(30)
    assert math.isnan(metrics.lag._value.get())


def told(metrics: QuotaMetrics) -> str:
    """Its text."""
    return Served("quota", StopSign(), metrics.registry).text().decode()


def connect_nowhere() -> ClickHouse:
    """A connection whose server is gone."""

    class Gone:
        def query(self, *_: object, **__: object) -> None:
            raise OSError("refused")

        command = insert = query

    return ClickHouse(cast("Client", Gone()), "metering")


def test_a_loop_that_does_not_turn_is_sick() -> None:
    """By when it last asked whether to stop; one that waits for that is well."""
    stop = StopSign()
    served = Served("sink", stop)
    assert served.health()[0] == 200
    stop._looked_at -= PATIENCE["sink"] + 1
    assert served.health()[0] == 503
    waiting = threading.Thread(target=stop.wait)
    waiting.start()
    while not stop._waiting:
        pass
    assert served.health()[0] == 200
    stop.set()
    waiting.join()
    assert stop.is_set()
    assert served.health()[1]["status"] == "alive"


def test_warnings_of_the_log_are_the_last_errors() -> None:
    """By kinds of a closed list, whatever the line says; what informs is no error."""
    served = Served("sink", StopSign())
    for level, event in (("info", "batch stored"), ("warning", "not stored yet"), ("error", "boom of acme")):
        line = {"level": level, "event": event, "error": "secret"}
        assert served.note(None, level, line) is line
    text = served.text().decode()
    told = read("here", text, now=time.time() + 5)
    assert set(told.errors) == {"not_stored", "other"}
    assert all(4 < seconds < 60 for seconds in told.errors.values())
    assert "acme" not in text
    assert "secret" not in text


def test_kinds_are_known_beginnings() -> None:
    """Every kind of the list is reached by some line."""
    assert kind_of("PARTITION STOPPED: 12 of the last 100") == "partition_stopped"
    assert kind_of("something new") == "other"
    assert len(set(KINDS)) == len(KINDS)


def test_places_are_hosts_and_ports() -> None:
    """Loopback where no host is named; what is none is refused."""
    assert parsed("9100") == parsed(":9100") == parsed("127.0.0.1:9100") == ("127.0.0.1", 9100)
    assert parsed("[::1]:9100") == ("::1", 9100)
    for wrong in ("localhost", "a:b", "1:70000"):
        with pytest.raises(Misconfigured, match="no place"):
            parsed(wrong)


def test_labels_are_of_closed_sets() -> None:
    """No label of any service names an account, a user, a model or an event."""
    sink, quota = SinkMetrics(), QuotaMetrics()
    sink.counters.lag = {3: (10, 2.5)}
    quota.counters.kinds = {"reserve": 2}
    quota.counters.replies = {"granted": 2}
    quota.counters.leased = {"cost_usd": Decimal("1.5"), "plugin_units.acme-pages": Decimal(7)}
    texts = [
        Served("sink", StopSign(), registry).text().decode()
        for registry in (
            sink.registry,
            quota.registry,
            RollupMetrics().registry,
        )
    ]
    labels = set(re.findall(r"[{,](\w+)=", "\n".join(texts)))
    assert labels <= {"partition", "reason", "step", "kind", "status", "meter", "service", "le"}
    assert 'taximeter_sink_lag_records{partition="3"} 10.0' in texts[0]
    assert 'taximeter_quota_leased{meter="cost_usd"} 1.5' in texts[1]
    assert "acme" not in texts[1]
