"""`taximeter status` over a real pipeline that is broken piece by piece. The seconds that it took are printed."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.status.conftest import Site

from taximeter_infra.stack.waiting import wait_until

pytestmark = pytest.mark.integration
AWAIT_SECONDS = 60.0


def levels(told: dict[str, Any]) -> dict[str, str]:
    """Line to level."""
    return {line["name"]: line["level"] for line in told["lines"]}


def is_green(seen: dict[str, str]) -> bool:
    """Whether every service is seen at its work."""
    return {seen["sink"], seen["rollups"], seen["quota"], seen.get("service")} == {"green"}


def awaited(site: Site, is_so: Callable[[dict[str, str]], bool], what: str) -> dict[str, Any]:
    """Asks until it is so; the seconds go to the test's output."""
    began = time.monotonic()
    while time.monotonic() - began < AWAIT_SECONDS:
        code, told = site.status("--services", site.metrics)
        if is_so(levels(told)):
            assert code == (1 if "red" in levels(told).values() else 0)
            print(f"{what}: {time.monotonic() - began:.1f} s")
            return told
    pytest.fail(f"{what}: not within {AWAIT_SECONDS:.0f} s; last: {told['lines']}")


def test_a_new_pipeline_is_watched_until_somebody_stops_it(site: Site) -> None:
    """Yellow, not red; `--watch --json` prints an object for each look, and Ctrl-C ends it with 0."""
    code, told = site.status()
    assert (code, told["level"], levels(told)["sink"]) == (0, "yellow", "yellow")
    with site.watching("--interval", "0.2") as process:
        assert process.stdout is not None
        looks = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert [look["level"] for look in looks] == ["yellow", "yellow"]


def test_it_turns_red_and_green_again(site: Site) -> None:
    """All services: green. A killed sink, a stopped one, broker, ClickHouse: red; nobody else is hidden."""
    with site.traffic():
        sink = site.start("sink", "--metrics", site.metrics)
        site.start("aggregate", "--follow", "--interval", "0.5")
        if site.has_transactions:
            site.start("quota", "service")
        told = awaited(site, is_green, "green at first")
        # It may be green before anything is stored.
        assert wait_until(lambda: site.status()[1]["facts"]["stored"]["rate"] > 0, 60)
        assert told["facts"]["services"][0]["name"] == "sink"
        sink.kill()
        told = awaited(site, lambda seen: seen["sink"] == "red", "red after kill -9 of the sink, with traffic")
        sink = site.start("sink")
        awaited(site, lambda seen: "red" not in seen.values(), "green after a new sink")
    sink.terminate()
    assert sink.wait(30) == 0
    told = awaited(site, lambda seen: seen["sink"] == "red", "red after a clean stop of the sink")
    assert "taximeter sink" in next(line["mend"] for line in told["lines"] if line["name"] == "sink")
    sink = site.start("sink")
    awaited(site, lambda seen: "red" not in seen.values(), "green after a new sink")
    sink.kill()
    awaited(site, lambda seen: seen["sink"] == "red", "red after kill -9 of the sink, without traffic")
    with site.frozen("kafka"):
        told = awaited(site, lambda seen: seen["kafka"] == "red", "red while the broker is frozen")
        assert levels(told)["clickhouse"] == "green", "who is away hides nobody else"
    with site.frozen("clickhouse"):
        told = awaited(site, lambda seen: seen["clickhouse"] == "red", "red while ClickHouse is frozen")
        assert levels(told)["kafka"] == "green", "who is away hides nobody else"
    site.stack.stop()
    awaited(site, lambda seen: seen["kafka"] == seen["clickhouse"] == "red", "red after the end of both")
