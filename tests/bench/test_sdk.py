"""The SDK's benchmark: what its ratios mean, and that what it compares is the same work."""

from __future__ import annotations

import pytest
from bench.sdk import encoding
from bench.sdk.__main__ import command, parse, wish_of
from bench.sdk.rounds import QUICK, measure_encoding, ratios, samples

_FOUND = {
    "node_p50": [5.0, 6.0],
    "node_p99": [20.0, 30.0],
    "otel_p50": [50.0, 30.0],
    "otel_p99": [100.0, 300.0],
    "serializer_p50": [100.0, 60.0],
    "serializer_p99": [1000.0, 300.0],
    "encode": [2.0, 2.5],
    "fastavro": [20.0, 20.0],
}


def test_of_a_node_less_is_better_and_of_encoding_more() -> None:
    """Time over time, and events per CPU-second over the same."""
    found = ratios(_FOUND)
    assert found["node_p50_vs_otel"] == (0.1, 0.2)
    assert found["node_p99_vs_otel"] == (0.2, 0.1)
    assert found["node_p50_vs_serializer"] == (0.05, 0.1)
    assert found["node_p99_vs_serializer"] == (0.02, 0.1)
    assert found["encode_vs_fastavro"] == (10.0, 8.0)


def test_every_sample_says_its_unit() -> None:
    """CPU time for encoding, the caller's time for nodes."""
    units = {name: sample.unit for name, sample in samples(_FOUND).items()}
    assert units["encode"] == units["fastavro"] == "CPU µs/event"
    assert units["node_p50"] == units["otel_p99"] == "µs/node"


def test_the_encoders_are_compared_on_events_that_both_write_the_same() -> None:
    """A difference ends the benchmark."""
    found = measure_encoding(QUICK, lambda _: None)
    assert len(found["encode"]) == len(found["fastavro"]) == 2 * QUICK.rounds
    wrong = encoding.Plain({}, {"run_id": "r"}, {"event_id": "x" * 36, "occurred_at": 1})
    with pytest.raises((RuntimeError, KeyError, ValueError)):
        encoding.check([wrong], encoding.encoder())


def test_the_command_says_what_was_run() -> None:
    """Defaults spelt out."""
    assert command(parse([])) == "python -m bench.sdk --rounds 15"
    assert command(parse(["--quick"])) == "python -m bench.sdk --rounds 2 --quick"
    assert wish_of(parse(["--rounds", "3"])).rounds == 3
    with pytest.raises(SystemExit):
        parse(["--rounds", "0"])
