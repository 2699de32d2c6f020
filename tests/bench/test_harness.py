"""What every benchmark shares: percentiles, pairs, the shape of a report."""

from __future__ import annotations

import io
import json
from pathlib import Path
from statistics import median

import pytest
from bench.harness import Machine, Report, Sample, machine, pair_ratios, percentile, significant, versions
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

HOST = Machine("Some CPU", 2, 16.0, "6.1", "3.11.7", 0.5)
VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1)


def report() -> Report:
    """A small report."""
    return Report(
        name="example",
        machine=HOST,
        versions={"taximeter": "1"},
        command="python -m bench.example --pairs 3",
        samples={"fast": Sample("s", (2.0, 1.0, 4.0))},
        ratios={"fast_vs_slow": (0.5, 0.25, 0.75)},
    )


@given(VALUES, st.floats(0, 100))
def test_a_percentile_is_a_measured_value_that_enough_values_do_not_exceed(values: list[float], percent: float) -> None:
    """By nearest rank: nothing is interpolated, and no smaller value would do."""
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) >= percent / 100 * len(values) - 1e-9
    assert found == min(values) or sum(value < found for value in values) < percent / 100 * len(values)


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (10, 1), (50, 5), (90, 9), (99, 10), (100, 10)])
def test_percentiles_of_one_to_ten(percent: float, value: float) -> None:
    """Known ones."""
    assert percentile(list(range(10, 0, -1)), percent) == value


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1.0], -1), ([1.0], 101)])
def test_a_percentile_of_nothing_or_of_no_percentage_is_refused(values: list[float], percent: float) -> None:
    """It raises ValueError."""
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, percent)


def test_each_pair_gives_one_ratio() -> None:
    """The first with the first, so that noise which lasts over a pair cancels; the median is not that of the sides."""
    found = pair_ratios([10, 100, 3], [20, 400, 3])
    assert found == (0.5, 0.25, 1.0)
    assert median(found) == 0.5


@pytest.mark.parametrize(("of", "to"), [([], []), ([1.0], [1.0, 2.0])])
def test_what_does_not_pair_up_is_refused(of: list[float], to: list[float]) -> None:
    """It raises ValueError."""
    with pytest.raises(ValueError, match="no pairs"):
        pair_ratios(of, to)


def test_a_sample_needs_a_value() -> None:
    """An empty one is refused when it is made."""
    with pytest.raises(ValueError, match="value"):
        Sample("s", ())


def test_a_report_says_where_what_and_how_and_has_the_pairs_behind_a_ratio() -> None:
    """`ratios` is name to median; min and max of the pairs are among the samples."""
    told = report().as_json()
    assert set(told) == {"name", "machine", "versions", "command", "samples", "ratios", "reasons"}
    assert set(told["machine"]) == {"cpu", "cores", "memory_gib", "kernel", "python", "load_average"}
    assert told["ratios"] == {"fast_vs_slow": 0.5}
    pairs = told["samples"]["fast_vs_slow"]
    assert (pairs["unit"], pairs["count"], pairs["min"], pairs["max"]) == ("ratio", 3, 0.25, 0.75)
    assert told["samples"]["fast"]["values"] == [2.0, 1.0, 4.0]


def test_a_written_report_reads_back(tmp_path: Path) -> None:
    """The file is the report, and nothing else is left beside it."""
    path = report().write(tmp_path / "out")
    assert path.name == "example.json"
    assert json.loads(path.read_text(encoding="utf-8")) == report().as_json()
    assert list(path.parent.iterdir()) == [path]


def test_the_tables_name_every_sample_and_ratio() -> None:
    """Ratios come first."""
    text = io.StringIO()
    report().show(Console(file=text))
    assert -1 < text.getvalue().find("fast vs slow") < text.getvalue().find("fast  ")


@given(st.floats(1e-6, 1e9))
def test_rounding_keeps_six_digits(value: float) -> None:
    """The error is below a millionth of the value."""
    assert abs(significant(value) - value) <= 1e-5 * value


def test_this_machine_and_the_libraries_are_named() -> None:
    """With the servers' versions between ours and theirs."""
    here = machine()
    assert here.cpu
    assert here.cores >= 1
    assert here.memory_gib > 0
    assert list(versions({"Kafka": "1", "ClickHouse": "2"})) == [
        *("taximeter", "Kafka", "ClickHouse"),
        *("confluent-kafka", "fastavro", "clickhouse-connect"),
    ]
