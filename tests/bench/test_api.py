"""The API's benchmark without servers: its options, its questions and its summary."""

from __future__ import annotations

import json
from random import Random
from typing import cast

import pytest
from bench.api.__main__ import CLIENTS, ApiReport, command, parse, ratios, samples
from bench.api.clients import clickhouse_target
from bench.api.shapes import NAMES, Runs
from bench.harness import Machine
from bench.rollup.history import History

from taximeter_consumers.clickhouse import ClickHouse


def test_options() -> None:
    """What is not given has its default; the command says how to do the same again."""
    assert command(parse(["--rows", "2000000"])) == "python -m bench.api --rows 2000000 --rounds 5 --each 200"
    assert parse(["--quick", "--rounds", "3"]).rounds == 3
    for wrong in (["--rows", "10"], ["--rounds", "-1"], ["--each", "2"]):
        with pytest.raises(SystemExit):
            parse(wrong)


def test_questions_are_of_runs_that_are_there() -> None:
    """The same by seed; typical runs of any account of the history, the others of their shape's account."""
    runs = Runs(History(cast("ClickHouse", None), 1_000_000))
    for name in NAMES:
        paths = runs.paths(name, 3, Random(1))
        assert paths == runs.paths(name, 3, Random(1))
        for path in paths:
            run, _, account = path.removeprefix("/api/metering/runs/run-").partition("?accountId=account-")
            assert run.startswith(f"{account}-")
            assert (int(account) < 20) == (name == "typical")


def test_the_password_goes_into_a_header() -> None:
    """Not into a path, which logs would show."""
    target = clickhouse_target("http://ada:s%2Fx@127.0.0.1:81")
    assert (target.host, target.port, target.headers["X-ClickHouse-Key"]) == ("127.0.0.1", 81, "s/x")


def test_the_figure_that_is_asked_for_stands_at_the_top() -> None:
    """The median of the rounds' p99 of typical runs, by callers."""
    names = [f"{name}_{clients}_p{at}" for name in ("healthz", *NAMES) for clients in CLIENTS for at in (50, 99)]
    found = {name: [1.0, 3.0, 2.0] for name in names} | {"typical_8_p99": [50.0, 70.0, 60.0]}
    host = Machine("cpu", 2, 1.0, "6", "3.11", 0.0)
    told = ApiReport("api", host, {}, "c", samples(found), ratios(found)).as_json()
    assert told["run_p99_ms"] == {"1": 2.0, "8": 60.0}
    assert told["ratios"]["typical_8_p50_vs_healthz"] == 1.0
    json.dumps(told)
