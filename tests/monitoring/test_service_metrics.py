"""What services say of themselves: names and labels of closed sets, a beat, their last errors, and an end."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from decimal import Decimal

import pytest

from taximeter_consumers.quota.service.metrics import QuotaMetrics
from taximeter_consumers.rollups.metrics import RollupMetrics
from taximeter_consumers.sink.metrics import SinkMetrics
from taximeter_infra.served import KINDS, PATIENCE, Served, kind_of, parsed
from taximeter_infra.signals import StopSign
from taximeter_infra.status.service_eyes import ask, read
from taximeter_schemas.errors import Misconfigured


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
        found = ask(f"127.0.0.1:{port}", now=time.time)
        assert (found.name, found.errors) == ("sink", {})
    assert threading.active_count() == before
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


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
