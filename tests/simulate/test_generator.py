"""Simulated events: seeded, counted, realistic, and in order."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taximeter_infra.simulate.generator import events
from taximeter_infra.simulate.plan import SimulationPlan
from taximeter_schemas import avro_files, codec, frame
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.event import MeterEvent, Outcome, Quality
from taximeter_schemas.uuid7 import birth_of

PLAN = SimulationPlan(6_000, seed=7)
SAMPLE = tuple(events(PLAN))


def wire(plan: SimulationPlan) -> list[tuple[str, bytes]]:
    """Keys and values as they go to Kafka."""
    return [(event.run_id, codec.encode(event, frame.header(avro_files.CURRENT_VERSION))) for event in events(plan)]


def test_equal_plans_give_equal_bytes() -> None:
    """Two simulations with the same seed and options are equal: values, keys and order."""
    assert wire(SimulationPlan(1_500, seed=3)) == wire(SimulationPlan(1_500, seed=3))


@pytest.mark.parametrize(
    "other",
    [
        SimulationPlan(400, seed=4),
        SimulationPlan(401, seed=3),
        SimulationPlan(400, seed=3, runs=19),
        SimulationPlan(400, seed=3, accounts=13),
        SimulationPlan(400, seed=3, start=datetime(2026, 6, 4, 0, 0, 1, tzinfo=UTC)),
        SimulationPlan(400, seed=3, pace=21.0),
    ],
)
def test_plans_that_differ_share_no_id(other: SimulationPlan) -> None:
    """Another seed or another option gives other ids, so two simulations never look like one another's duplicates."""
    mine = {event.event_id for event in events(SimulationPlan(400, seed=3))}
    assert not mine & {event.event_id for event in events(other)}


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 300), st.integers(0, 2**40), st.data())
def test_the_numbers_are_as_asked(total: int, seed: int, data: st.DataObject) -> None:
    """As many events and as many runs as the plan says."""
    runs = data.draw(st.integers(1, total))
    made = list(events(SimulationPlan(total, seed=seed, runs=runs)))
    assert len(made) == total
    assert len({event.run_id for event in made}) == runs


def test_ids_are_unique_and_carry_the_simulated_clock() -> None:
    """Every id is a new UUIDv7 born in the millisecond of its event."""
    assert len({event.event_id for event in SAMPLE}) == len(SAMPLE)
    assert all(
        timedelta(0) <= event.occurred_at - birth_of(event.event_id) < timedelta(milliseconds=1) for event in SAMPLE
    )


def test_the_clock_starts_as_documented() -> None:
    """Without a start it is seed % 90 days after 2026-06-01; with one it is that."""
    assert PLAN.first_instant == datetime(2026, 6, 8, tzinfo=UTC)
    assert PLAN.first_instant <= SAMPLE[0].occurred_at < PLAN.first_instant + timedelta(minutes=2)
    start = datetime(2025, 3, 1, tzinfo=UTC)
    assert next(events(SimulationPlan(100, start=start))).occurred_at >= start


def test_events_are_in_order_and_runs_interleave() -> None:
    """Time never goes back, and neighbours often belong to different runs."""
    moments = [event.occurred_at for event in SAMPLE]
    assert moments == sorted(moments)
    changes = sum(one.run_id != other.run_id for one, other in pairwise(SAMPLE))
    assert changes > len(SAMPLE) / 2


def test_an_attempt_executes_once() -> None:
    """Each node attempt has one event with executions = 1; further models have 0 and no duration."""
    attempts = defaultdict[tuple[str, str, int], list[MeterEvent]](list)
    for event in SAMPLE:
        attempts[event.run_id, event.node_id, event.attempt].append(event)
    assert all(sum(event.executions for event in group) == 1 for group in attempts.values())
    further = [event for event in SAMPLE if event.executions == 0]
    assert further
    assert all(event.duration_us == 0 and event.ai is not None for event in further)


def test_retries_follow_failures() -> None:
    """A second attempt exists only where the first one did not succeed."""
    outcome = {(event.run_id, event.node_id, event.attempt): event.outcome for event in SAMPLE if event.executions}
    retried = [key for key in outcome if key[2] > 1]
    assert retried
    assert all(outcome[run_id, node_id, attempt - 1] is not Outcome.SUCCESS for run_id, node_id, attempt in retried)


def test_what_real_life_has_is_there() -> None:
    """All outcomes, node types and doubtful qualities, cached and reasoning tokens, stated costs, an unpriced model."""
    uses = [event.ai for event in SAMPLE if event.ai is not None]
    assert {event.outcome for event in SAMPLE} == set(Outcome) - {Outcome.UNKNOWN}
    assert {event.node_type for event in SAMPLE} == {"ai", "http", "code", "plugin", "condition"}
    assert {use.quality for use in uses} == set(Quality)
    assert any(use.cache_read_tokens for use in uses)
    assert any(use.cache_write_tokens for use in uses)
    assert any(use.reasoning_tokens for use in uses)
    assert any(use.reported_cost for use in uses)
    assert any(use.provider == "inhouse" for use in uses)
    assert any(event.memory_breaches for event in SAMPLE)
    assert any(event.parent_run_id for event in SAMPLE)


def test_counters_agree_with_one_another() -> None:
    """Parts are never more than their whole, and missing use has no tokens."""
    for use in (event.ai for event in SAMPLE if event.ai is not None):
        assert use.cache_read_tokens + use.cache_write_tokens <= use.input_tokens
        assert use.reasoning_tokens <= use.output_tokens
        assert use.total_tokens == use.input_tokens + use.output_tokens
        assert use.quality is not Quality.MISSING or use.total_tokens == 0


def test_accounts_are_skewed() -> None:
    """The first account has most, the last one something."""
    counts = Counter(event.account_id for event in SAMPLE)
    assert counts.most_common(1)[0][0] == "acct-001"
    assert len(counts) == PLAN.accounts


@pytest.mark.parametrize(
    "wrong",
    [
        {"events": 0},
        {"events": 10, "runs": 11},
        {"events": 10, "accounts": 0},
        {"events": 10, "pace": 0.0},
        {"events": 10, "start": datetime(1999, 1, 1, tzinfo=UTC)},
    ],
)
def test_a_plan_that_nothing_satisfies_is_refused(wrong: dict[str, int]) -> None:
    """The message names the option to change."""
    with pytest.raises(Misconfigured, match=r"--\w+"):
        SimulationPlan(**wrong)
