"""The quotas' benchmark without servers: its options, its summary, and the few lines that speak to Redis."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from bench.harness import Machine
from bench.quota import redis
from bench.quota.__main__ import QUICK, QuotaReport, command, parse, ratios, samples, wish_of


def test_options_become_a_wish() -> None:
    """What is not given has its default; the command says how to do the same again."""
    assert wish_of(parse([])).rounds == 15
    assert wish_of(parse(["--quick", "--rounds", "3"])).each == QUICK.each
    assert command(wish_of(parse(["--rounds", "4"]))) == "python -m bench.quota --rounds 4"
    with pytest.raises(SystemExit):
        parse(["--rounds", "0"])


def test_the_figures_that_are_asked_for_stand_at_the_top() -> None:
    """The worse of the two p99, the ratio of the pairs, and the largest overshoot; no Redis, no ratio to it."""
    found = {
        "round_trip_p50": [1.0, 1.0], "round_trip_p99": [2.0, 2.0], "reserve_p50": [2.0, 2.0],
        "reserve_p99": [5.0, 3.0], "check_p99": [3.0, 3.0], "check_4_threads_p99": [4.0, 6.0], "overshoot": [0.0],
    }  # fmt: skip
    host = Machine("cpu", 2, 1.0, "6", "3.11", 0.0)
    told = QuotaReport(
        "quota", host, {}, "c", samples(found), ratios(found), {"reserve_p99_vs_redis": "none"}
    ).as_json()
    assert told["check_p99_us"] == 5.0
    assert told["reserve_p99_vs_roundtrip"] == told["ratios"]["reserve_p99_vs_roundtrip"] == 2.0
    assert told["overshoot"] == 0
    assert told["ratios"]["reserve_p99_vs_redis"] is None
    json.dumps(told)


@pytest.mark.skipif(not redis.installed(), reason=redis.MISSING)
def test_check_then_increment_counts(tmp_path: Path) -> None:
    """One caller alone never overdraws; the server ends with its block."""
    with redis.serve(tmp_path) as port, closing(redis.Redis(port)) as server:
        assert [server.spend("k", 4, 10) for _ in range(3)] == [True, True, False]
        assert server.ask("GET", "k") == "8"
        assert redis.overshoot(port, "alone", 1, 100, 7) == 0
