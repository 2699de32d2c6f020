"""The pure parts of the pipeline benchmark: rounds to samples and ratios, logs and /proc to numbers, options."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from bench.freshness import ratios as freshness_ratios
from bench.freshness import samples as freshness_samples
from bench.freshness import tick_seconds
from bench.pipeline import command, parse
from bench.process import Use, parse_use
from bench.sites import topic_environment
from bench.throughput import Pair, Round, ratios, ready_at, samples

from taximeter_schemas.errors import Retryable
from taximeter_schemas.settings import TopicSettings

MIB = 2**20
ALONE = Round(ready=1.0, first=1.5, last=2.5, done=3.0, later_records=800, use=Use(2.0, 90 * MIB))
ROLLED_UP = Round(ready=1.0, first=1.5, last=3.5, done=5.0, later_records=800, use=Use(2.5, 95 * MIB))
PAIR = Pair(Use(0.5, 60 * MIB), ALONE, ROLLED_UP)
LOG = """a line that is no JSON
{"partitions": [0, 1], "event": "partitions assigned", "level": "info", "timestamp": "1970-01-01T00:01:00.500000Z"}
{"partitions": [0, 1], "event": "partitions assigned", "level": "info", "timestamp": "1970-01-01T00:02:00Z"}
"""


def test_a_ratio_below_one_says_that_rollups_cost_throughput() -> None:
    """It is events per second over events per second, with start-up and without."""
    assert ratios([PAIR]) == {"rollups_vs_sink_alone": (0.6,), "rollups_vs_sink_alone_after_startup": (0.5,)}


def test_rates_with_start_up_without_and_between_batches() -> None:
    """All of the same thousand events; the first batch is not counted between batches."""
    found = samples([PAIR], 1000)
    assert found["sink_alone"].values == pytest.approx((1000 / 3,))
    assert found["sink_alone_after_startup"].values == (500.0,)
    assert found["sink_alone_first_to_last_batch_stored"].values == (800.0,)
    assert found["sink_and_rollups_first_to_last_batch_stored"].values == (400.0,)
    assert found["sink_peak_memory"].values == (90.0,)


def test_cpu_is_told_for_a_hundred_thousand_rows_with_start_up_and_without() -> None:
    """What an idle sink uses is its start-up."""
    found = samples([PAIR], 200_000)
    assert found["sink_cpu_per_100k_rows"].values == (1.0,)
    assert found["sink_cpu_per_100k_rows_without_startup"].values == (0.75,)


def test_a_single_batch_has_no_rate_between_batches() -> None:
    """The sample is left out."""
    single = Round(1.0, 1.5, 1.5, 2.0, 0, Use(1.0, MIB))
    assert "sink_alone_first_to_last_batch_stored" not in samples([Pair(Use(0.5, MIB), single, single)], 10)


def test_the_sink_is_ready_at_its_first_assignment() -> None:
    """By its own log, where other lines may stand too."""
    assert ready_at(LOG) == 60.5


def test_a_log_without_an_assignment_is_an_error() -> None:
    """It never counts as start-up of zero."""
    with pytest.raises(Retryable, match="partitions"):
        ready_at('{"event": "batch stored"}\n')


def test_use_is_read_whatever_the_process_is_called() -> None:
    """User and system ticks, and the peak in bytes; a name may hold spaces and parentheses."""
    stat = "7 (a (b) c) S " + " ".join(str(number) for number in range(4, 53))
    assert parse_use(stat, "Name:\ta\nVmHWM:\t    2048 kB\n", 100) == Use((14 + 15) / 100, 2 * MIB)


def test_a_process_that_has_ended_has_no_use() -> None:
    """A zombie has no memory left to tell of."""
    assert parse_use("7 (a) Z " + "0 " * 50, "Name:\ta\n", 100) is None


def test_the_use_of_this_very_process_can_be_read() -> None:
    """The kernel's files are as expected."""
    stat, status = (Path(f"/proc/self/{name}").read_text(encoding="utf-8") for name in ("stat", "status"))
    used = parse_use(stat, status, os.sysconf("SC_CLK_TCK"))
    assert used is not None
    assert used.cpu_seconds > 0
    assert used.peak_bytes > MIB


def test_freshness_is_in_milliseconds() -> None:
    """Seconds in, milliseconds out; a table that was asked once has no gap between looks."""
    found = freshness_samples({"stored": ([0.5, 0.25], [0.02]), "rolled_up": ([1.5], [])}, [0.125])
    assert found["node_end_to_stored"].values == (500.0, 250.0)
    assert set(found) == {"node_end_to_stored", "node_end_to_rolled_up", "look_every_stored", "aggregator_tick"}
    assert found["aggregator_tick"].values == (125.0,)


def test_each_probe_is_a_pair() -> None:
    """By its run, in whatever order the two tables showed it."""
    found = freshness_ratios({"b": 0.5, "a": 1.0}, {"a": 3.0, "b": 1.0})
    assert found == {"rolled_up_vs_stored_delay": (3.0, 2.0)}


def test_only_ticks_with_work_are_counted() -> None:
    """By the aggregator's log, where other lines may stand too."""
    lines = ("no JSON", '{"event": "rolled up", "seconds": 0.5}', '{"event": "tick failed"}')
    log = "\n".join((*lines, '{"event": "rolled up", "seconds": 2}'))
    assert tick_seconds(log) == [0.5, 2.0]


def test_topics_travel_by_their_environment_names() -> None:
    """A child reads the same settings."""
    told = topic_environment(TopicSettings(events="bench.e", dead_letters="bench.d", partitions=3))
    assert told["TAXIMETER_TOPIC_EVENTS"] == "bench.e"
    assert told["TAXIMETER_TOPIC_DEAD_LETTERS"] == "bench.d"
    assert told["TAXIMETER_TOPIC_PARTITIONS"] == "3"


def test_the_command_of_a_report_can_be_typed_again() -> None:
    """With every default spelt out it parses to the same options."""
    options = parse(["--events", "5000", "--rate", "12.5"])
    assert parse(command(options).split()[3:]) == options


@pytest.mark.parametrize("wrong", [["--events", "0"], ["--pairs", "0"], ["--seconds", "1"], ["--interval", "0"]])
def test_options_that_measure_nothing_are_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, with the option's name."""
    with pytest.raises(SystemExit, match="2"):
        parse(wrong)
    assert wrong[0] in capsys.readouterr().err
