"""Driving the simulation from a trace."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from taximeter_infra.simulate.plan import SimulationPlan
from taximeter_infra.simulate.trace import TraceRow, read_trace, trace_events
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.event import Quality

AZURE = Path(__file__).resolve().parents[3] / "shared" / "data" / "AzureLLMInferenceTrace_conv.csv"
HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
SMALL = HEADER + "2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,109\n2023-11-16 18:16:50,0,0\n"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Three requests."""
    path = tmp_path / "trace.csv"
    path.write_text(SMALL)
    return path


def test_each_row_is_one_event_at_its_instant(small: Path) -> None:
    """Tokens are the row's, distances are the trace's, the first happens when the simulated clock starts."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = read_trace(small)
    made = list(trace_events(SimulationPlan(3, start=start, runs=2), rows))
    assert [(event.ai.input_tokens, event.ai.output_tokens) for event in made if event.ai] == [
        (374, 44),
        (396, 109),
        (0, 0),
    ]
    gaps = [
        timedelta(0),
        timedelta(seconds=4, microseconds=314_579),
        timedelta(minutes=1, seconds=3, microseconds=319_410),
    ]
    assert [event.occurred_at - start for event in made] == gaps
    assert len({event.run_id for event in made}) == 2
    assert all(event.executions == 1 and event.node_type == "ai" for event in made)


def test_the_same_trace_and_seed_give_the_same_events(small: Path) -> None:
    """The rest is drawn from the seed; another trace or seed gives other ids."""
    rows, plan = read_trace(small), SimulationPlan(3, seed=1)
    once = list(trace_events(plan, rows))
    assert list(trace_events(plan, rows)) == once
    changed = [*rows[:2], TraceRow(rows[2].moment_us, 1, 0)]
    for other in (trace_events(SimulationPlan(3, seed=2), rows), trace_events(plan, changed)):
        assert not {event.event_id for event in other} & {event.event_id for event in once}


def test_only_the_first_rows_when_asked(small: Path) -> None:
    """--events cuts the trace."""
    assert len(read_trace(small, 2)) == 2


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "line 1: the header lacks TIMESTAMP"),
        ("TIMESTAMP,ContextTokens\n", "line 1: the header lacks GeneratedTokens"),
        (HEADER, "line 2: there are no rows"),
        (SMALL + "yesterday,1,2\n", "line 5: TIMESTAMP 'yesterday' is not a time"),
        (SMALL + "2023-11-16 18:16:51,-1,2\n", "line 5: '-1' is not a count of tokens"),
        (SMALL + "2023-11-16 18:16:51,1,2.5\n", "line 5: '2.5' is not a count of tokens"),
        (SMALL + "2023-11-16 18:16:51,1\n", "line 5: '' is not a count of tokens"),
    ],
)
def test_a_malformed_trace_names_the_line(tmp_path: Path, text: str, complaint: str) -> None:
    """The file is refused before anything is sent, with the number of the line."""
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(Misconfigured, match=complaint):
        read_trace(path)


def test_an_absent_trace_is_said_plainly(tmp_path: Path) -> None:
    """No traceback for a wrong path or a binary file."""
    with pytest.raises(Misconfigured, match="cannot be read"):
        read_trace(tmp_path / "none.csv")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(Misconfigured, match="cannot be read"):
        read_trace(tmp_path / "binary")


def test_the_real_trace_comes_through_whole() -> None:
    """An hour of a real service: every request with its tokens, about twenty a run, all measured."""
    if not AZURE.exists():
        pytest.skip(f"{AZURE.name} is not beside the repository")
    rows = read_trace(AZURE)
    made = list(trace_events(SimulationPlan(len(rows)), rows))
    uses = [event.ai for event in made if event.ai is not None]
    assert len(uses) == len(made) == 19_366
    assert sum(use.input_tokens for use in uses) == sum(row.input_tokens for row in rows)
    assert sum(use.output_tokens for use in uses) == sum(row.output_tokens for row in rows)
    assert {use.quality for use in uses} == {Quality.REPORTED}
    assert len({event.run_id for event in made}) == len(rows) // 20
