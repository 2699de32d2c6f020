"""The sink's benchmark as a whole, tiny, on the real broker and the real ClickHouse."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bench.harness import Report, machine
from bench.sink import run
from bench.sink.__main__ import QUICK

from taximeter_infra.stack.plan import StackAddresses

_RATIOS = {"limit", "usual", "usual_fastavro", "best_python_peer", "kafka_engine"}


@pytest.mark.long
@pytest.mark.integration
def test_every_path_stores_the_same_rows_and_gets_its_ratio(local_stack: StackAddresses) -> None:
    """A path that stored other rows would have raised; a ratio is a number, or null with its reason."""
    found = run.measure(
        local_stack, replace(QUICK, events=2_000, peer_events=1_000, sinks=(1,), backlogs=(4_000,)), lambda _: None
    )
    told = Report("sink", machine(), {}, "", found.samples, found.ratios, found.reasons).as_json()
    ratios = told["ratios"]
    assert {f"{measured}_vs_{path}" for measured in ("wall", "cpu") for path in _RATIOS} <= set(ratios)
    assert {name for name, value in ratios.items() if value is None} == set(told["reasons"])
    assert all(value is None or value > 0 for value in ratios.values())
    for path in ("sink", "usual", "limit"):
        assert {path, f"{path}_client_cpu", f"{path}_server_cpu", f"{path}_parts"} <= set(told["samples"])
    assert told["samples"]["load_10_event_to_visible"]["count"] > 0
    assert told["samples"]["load_10_parts"]["median"] > 0
    assert told["samples"]["peak_memory_of_4000"]["median"] > 0
