"""Facts into verdicts, without any server."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from taximeter_infra.status.facts import (
    Cluster,
    Costs,
    Facts,
    Group,
    Letters,
    Rebuilding,
    Server,
    Service,
    Spool,
    Stored,
    Tables,
    Trouble,
    Waiting,
)
from taximeter_infra.status.judge import judge
from taximeter_infra.status.judge_flow import STILL_SECONDS, stopped_partitions
from taximeter_infra.status.verdicts import Level, Line, long, overall

AWAY = Trouble("no answer", "start it")
NEW = Facts(
    at=0.0,
    cluster=Cluster(1, 7),
    server=Server("26.9", 0.01),
    sink=Group(0),
    quota=Group(0),
    letters=Letters(0),
    tables=Tables(),
    stored=Stored(),
    costs=Costs(0, 0, 0),
    rebuilding=Rebuilding(),
)
BUSY = replace(
    NEW,
    sink=Group(1, {0: 10}, {0: Waiting(3, 0.2)}, 13),
    stored=Stored(stored_seconds={0: 0.3}, rate=50.0, tick_seconds=1.0, freshness_seconds=0.4),
)
ages = st.one_of(st.none(), st.floats(0, 1e6))
groups = st.builds(
    Group,
    st.integers(0, 3),
    st.dictionaries(st.integers(0, 3), st.integers(0, 99)),
    st.dictionaries(st.integers(0, 3), st.builds(Waiting, st.integers(1, 10**6), ages)),
    st.integers(0, 10**9),
)
stored = st.builds(
    Stored,
    stored_seconds=st.dictionaries(st.integers(0, 3), st.floats(0, 1e6)),
    long_ago=st.booleans(),
    rollup_lag_seconds=st.floats(0, 1e6),
    tick_seconds=ages,
)


def line(name: str, facts: Facts, before: Facts | None = None) -> Line:
    """The verdict of that name."""
    return next(one for one in judge(facts, before) if one.name == name)


def test_a_new_pipeline_frightens_nobody() -> None:
    """Nothing was ever stored and nothing waits: yellow, with the command that is missing; not red."""
    assert overall(judge(NEW)) is Level.YELLOW
    assert line("sink", NEW).mend == "start it: taximeter sink"


def test_a_server_without_topics_and_tables_is_new_too() -> None:
    """Nobody has set it up. Where events were stored, or only some topics are gone, it is red."""
    bare = replace(NEW, cluster=Cluster(1, 0, ["a", "b"], none_of_ours=True))
    bare = replace(bare, tables=Trouble("no database", "migrate"), stored=Trouble("no database", "migrate"))
    assert overall(judge(bare)) is Level.YELLOW
    assert line("topics", replace(bare, cluster=Cluster(1, 1, ["b"]))).level is Level.RED
    assert line("topics", replace(bare, stored=BUSY.stored)).level is Level.RED


def test_a_busy_pipeline_is_green() -> None:
    """All of it, and the rates come of two looks."""
    later = replace(BUSY, at=2.0, sink=replace(BUSY.sink, ends=113))
    assert overall(judge(later, BUSY)) is Level.GREEN
    assert line("rates", later, BUSY).said.startswith("50 events a second come")


@given(groups, stored)
def test_a_group_without_members_is_red_once_it_was_used(group: Group, kept: Stored) -> None:
    """Whatever else is seen: ever committed, or records that wait, or a batch that was stored."""
    gone = replace(group, members=0)
    used = bool(gone.committed or gone.records or kept.ever)
    assert (line("sink", replace(NEW, sink=gone, stored=kept)).level is Level.RED) == used


@given(st.floats(STILL_SECONDS + 0.1, 1e6), st.floats(STILL_SECONDS + 0.1, 1e6))
def test_a_sink_that_died_without_a_word_is_red_while_events_come(age: float, last: float) -> None:
    """It is still a member, what waits grows old, nothing is stored. A commit between two looks clears it."""
    dead = replace(BUSY, sink=Group(1, {0: 10}, {0: Waiting(3, age)}, 13), stored=Stored(stored_seconds={0: last}))
    assert line("sink", dead, dead).level is Level.RED
    assert line("sink", replace(dead, stored=AWAY), dead).level is Level.RED
    assert "nothing is stored" not in line("sink", dead, replace(dead, sink=Group(1, {0: 9}))).said


def test_young_records_are_no_standstill() -> None:
    """A quiet topic whose first record came a moment ago."""
    quiet = replace(BUSY, sink=Group(1, {0: 10}, {0: Waiting(1, 0.5)}, 11), stored=Stored(stored_seconds={0: 9e3}))
    assert line("sink", quiet, quiet).level is Level.GREEN


def test_one_stopped_partition_is_seen_among_others() -> None:
    """Its records wait for more than a minute in which only others were stored."""
    group = Group(1, {0: 5, 1: 9}, {0: Waiting(5, 90.0), 1: Waiting(2, 0.1)}, 20)
    kept = Stored(stored_seconds={0: 95.0, 1: 0.1})
    assert stopped_partitions(group, kept) == [0]
    assert line("sink", replace(BUSY, sink=group, stored=kept)).level is Level.RED
    assert stopped_partitions(group, Stored(stored_seconds={0: 3.0, 1: 0.1})) == []


def test_a_partition_whose_records_have_no_age_is_never_green() -> None:
    """Yellow at one look; red once nothing of it was stored or committed between two, though others go on."""
    many = Group(1, {0: 5, 1: 9}, {0: Waiting(10**6), 1: Waiting(2, 0.1)}, 10**6)
    kept = Stored(stored_seconds={1: 0.1})
    stopped = replace(BUSY, sink=many, stored=kept)
    assert line("sink", stopped).level is Level.YELLOW
    assert "age unknown in partition 0" in line("sink", stopped).said
    assert line("sink", stopped, stopped).level is Level.RED
    assert line("sink", stopped, replace(stopped, sink=Group(1, {0: 4, 1: 9}, many.waiting))).level is Level.YELLOW
    assert line("sink", stopped, replace(stopped, sink=Group(1, {0: 5, 1: 9}))).level is Level.YELLOW
    assert line("sink", replace(stopped, stored=Stored(stored_seconds={0: 1.0})), stopped).level is Level.YELLOW
    waits = replace(BUSY, quota=Group(1, {0: 4}, {0: Waiting(2)}, 6))
    assert line("quota", waits).level is Level.YELLOW
    assert line("quota", waits, waits).level is Level.RED


def test_a_group_that_cannot_be_looked_at_is_red_while_kafka_answers() -> None:
    """Nobody else's line would be red; it has a mend even where the probe brought none."""
    for name in ("sink", "quota"):
        blind = line(name, replace(BUSY, **{name: Trouble("no answer for 3 s")}))
        assert (blind.level, bool(blind.mend), "no answer" in blind.said) == (Level.RED, True, True)
        refused = line(name, replace(BUSY, **{name: Trouble("GROUP_AUTHORIZATION_FAILED", "allow it")}))
        assert (refused.level, refused.mend) == (Level.RED, "allow it")
        assert line(name, replace(BUSY, cluster=AWAY, **{name: AWAY})).level is Level.YELLOW


def test_what_clickhouse_does_not_tell_in_time_is_said_of_its_own_line() -> None:
    """The tables have a probe of their own; rollups and rebuilding do not vanish."""
    slow = replace(BUSY, stored=Trouble("no answer for 3 s"), rebuilding=Trouble("no answer for 3 s", "wait"))
    assert line("tables", slow).level is Level.GREEN
    assert (line("rollups", slow).level, bool(line("rollups", slow).mend)) == (Level.RED, True)
    assert (line("rebuilding", slow).level, line("rebuilding", slow).mend) == (Level.YELLOW, "wait")
    assert line("tables", replace(BUSY, tables=Trouble("no such table", "migrate"))).level is Level.RED
    away = replace(slow, server=AWAY)
    assert {line(name, away).level for name in ("tables", "rollups", "rebuilding")} == {Level.YELLOW}


def test_what_was_stored_long_ago_is_no_new_pipeline() -> None:
    """The ledger is looked at for two days back, and whether there is anything before."""
    old = replace(NEW, stored=Stored(long_ago=True))
    assert line("sink", old).level is Level.RED
    assert "days ago" in line("sink", old).said


def test_rollups_that_lag_turn_yellow_then_red() -> None:
    """By the age of the oldest batch that is not rolled up."""
    lags = [0.0, 5.0, 20.0, 61.0]
    found = [line("rollups", replace(BUSY, stored=Stored(rollup_lag_seconds=lag, tick_seconds=lag))) for lag in lags]
    assert [one.level for one in found] == [Level.GREEN, Level.GREEN, Level.YELLOW, Level.RED]


def test_a_quota_service_that_ended_is_red_and_one_that_was_never_used_is_not() -> None:
    """Commands that nobody decides are red; so is a service that hangs."""
    assert line("quota", NEW).level is Level.GREEN
    assert line("quota", replace(NEW, quota=Group(0, {0: 4}))).level is Level.RED
    hangs = replace(NEW, quota=Group(1, {0: 4}, {0: Waiting(2, 8.0)}, 6))
    assert line("quota", hangs, hangs).level is Level.RED
    assert line("quota", replace(hangs, quota=Group(1, {0: 4}))).level is Level.GREEN


def test_what_is_around_is_told() -> None:
    """Dead letters, costs, swaps, the spool, services: yellow with a mend."""
    facts = replace(
        BUSY,
        letters=Letters(4, "malformed", 12.0),
        costs=Costs(1_000, 50, 3),
        rebuilding=Rebuilding(["check"], ["check"], paused=True),
        spool=Spool("/var/spool", 10, 4, 0, 60.0),
        services=[Service("127.0.0.1:9101", "sink", 0.2, {"clickhouse": 5.0}), AWAY],
    )
    for name in ("dead letters", "costs", "rebuilding", "spool", "service"):
        assert (line(name, facts).level, bool(line(name, facts).mend)) == (Level.YELLOW, True), name
    assert "malformed" in line("dead letters", facts).said
    decided = replace(facts, letters=Letters(4, "malformed", 12.0, decided=4))
    assert line("dead letters", decided).level is Level.GREEN
    hung = replace(facts, services=[Service("127.0.0.1:9101", "sink", 999.0)])
    assert line("service", hung).level is Level.RED


def test_who_is_away_hides_nobody_else() -> None:
    """Without Kafka ClickHouse is judged as ever, and the other way round; the overall verdict is red."""
    no_kafka = replace(BUSY, cluster=AWAY, sink=AWAY, quota=AWAY, letters=AWAY)
    no_clickhouse = replace(BUSY, server=AWAY, stored=AWAY, costs=AWAY, rebuilding=AWAY)
    assert (line("kafka", no_kafka).level, line("clickhouse", no_kafka).level) == (Level.RED, Level.GREEN)
    assert (line("kafka", no_clickhouse).level, line("clickhouse", no_clickhouse).level) == (Level.GREEN, Level.RED)
    nothing = replace(no_kafka, server=AWAY, stored=AWAY, costs=AWAY, rebuilding=AWAY)
    assert overall(judge(nothing, nothing)) is Level.RED


@given(groups, groups, stored)
def test_red_always_says_what_to_do(sink: Group, quota: Group, kept: Stored) -> None:
    """No red line without a mend."""
    facts = replace(NEW, sink=sink, quota=quota, stored=kept)
    assert all(one.mend for one in judge(facts, facts) if one.level is Level.RED)


def test_durations_are_for_people() -> None:
    """Seconds with a digit, then ever coarser."""
    assert [long(one) for one in (0.04, 59.6, 600, 40_000, 400_000)] == ["0.0 s", "60 s", "10 min", "11 h", "5 days"]
