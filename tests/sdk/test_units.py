"""Service tiers, units and how many calls an event adds up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter.tally import LONGEST_ADDED
from taximeter.testing import RecordedMeter, memory_meter
from taximeter_schemas.event import AiUsage, Kind, Quality
from taximeter_schemas.service_tier import LONGEST, service_tier_of


def uses(recorded: RecordedMeter, *calls: dict[str, Any]) -> list[AiUsage]:
    """What a node with these calls emits."""
    with recorded.meter.run() as run, run.node("n") as node:
        for words in calls:
            node.ai(**{"model": "m", **words})
    return [event.ai for event in recorded.events if event.ai is not None]


def test_units_and_tier_reach_the_event(recorded: RecordedMeter) -> None:
    """The tier in our words; one call says nothing of requests."""
    (ai,) = uses(recorded, {"input_tokens": 9, "service_tier": "Default", "units": {"web_searches": 2}})
    assert (ai.service_tier, ai.units, ai.quality) == ("standard", {"web_searches": 2}, Quality.REPORTED)


def test_units_add_up_and_say_how_many_calls_they_are(recorded: RecordedMeter) -> None:
    """Key by key; a record that is itself a sum counts as many."""
    (ai,) = uses(
        recorded,
        {"input_tokens": 1, "units": {"web_searches": 2}},
        {"input_tokens": 2, "units": {"input_audio_tokens": 1, "web_searches": 1}},
        {"input_tokens": 4, "units": {"requests": 5}},
    )
    assert ai.units == {"web_searches": 3, "input_audio_tokens": 1, "requests": 7}
    assert ai.input_tokens == 7


def test_a_call_that_counted_nothing_is_no_request(recorded: RecordedMeter) -> None:
    """Such as one that failed, by itself or beside one that did not; an unknown one is a call."""
    failed = {"input_tokens": 0, "output_tokens": 0}
    (ai,) = uses(recorded, failed, {"input_tokens": 3}, failed)
    assert ai.units == {}
    (_, unknown) = uses(recorded, {}, {})
    assert (unknown.quality, unknown.units) == (Quality.MISSING, {"requests": 2})


def test_tiers_are_apart(recorded: RecordedMeter) -> None:
    """They have prices of their own; what is not known is not taken for the standard."""
    found = uses(recorded, *({"input_tokens": 1, "service_tier": tier} for tier in ("flex", "", "default", "FLEX")))
    assert [(ai.service_tier, ai.input_tokens) for ai in found] == [("flex", 2), ("", 1), ("standard", 1)]


def test_a_long_call_stays_alone(recorded: RecordedMeter) -> None:
    """Prices for long prompts are asked of one call; sums of short ones may be as long as they like."""
    long, short = {"input_tokens": LONGEST_ADDED + 1}, {"input_tokens": LONGEST_ADDED}
    found = uses(recorded, short, long, short, long, short)
    told = [(ai.input_tokens, ai.units) for ai in found]
    assert told == [(3 * LONGEST_ADDED, {"requests": 3}), (LONGEST_ADDED + 1, {}), (LONGEST_ADDED + 1, {})]


def test_many_long_calls_do_not_fill_the_memory(recorded: RecordedMeter) -> None:
    """Beyond a bound they are emitted before the node's end; each once, none added to another."""
    count = 2_000
    with recorded.meter.run() as run, run.node("n") as node:
        for number in range(count):
            node.ai(model="m", input_tokens=100_000 + number)
            node.ai(model="m", input_tokens=1)
    events = recorded.events
    long = [event.ai.input_tokens for event in events if event.ai and event.ai.input_tokens >= 100_000]
    assert sorted(long) == list(range(100_000, 100_000 + count))
    short = [event.ai for event in events if event.ai and event.ai.input_tokens < 100_000]
    assert sum(ai.input_tokens for ai in short) == sum(ai.units.get("requests", 1) for ai in short) == count
    assert sum(event.kind is Kind.USAGE for event in events) > count // 2
    assert sum(event.executions for event in events) == 1


@given(st.lists(st.tuples(st.integers(0, 60_000), st.integers(0, 3)), max_size=6))
def test_every_call_is_counted(calls: list[tuple[int, int]]) -> None:
    """Over all events: tokens, units, and calls that used something."""
    with memory_meter() as recorded:
        found = uses(recorded, *({"input_tokens": tokens, "units": {"web_searches": own}} for tokens, own in calls))
    assert sum(ai.input_tokens for ai in found) == sum(tokens for tokens, _ in calls)
    assert sum(ai.units.get("web_searches", 0) for ai in found) == sum(own for _, own in calls)
    told = [ai.units.get("requests", int(bool(ai.input_tokens or any(ai.units.values())))) for ai in found]
    assert sum(told) == sum(any(call) for call in calls)
    assert sum(tokens > LONGEST_ADDED for tokens, _ in calls) == sum(
        ai.input_tokens > LONGEST_ADDED and "requests" not in ai.units for ai in found
    )


class _Raising(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"web_searches": -1, "citation_tokens": 4}, {"citation_tokens": 4}),
        ({"web_searches": "x"}, {}),
        ({f"u{number}": 1 for number in range(40)}, {f"u{number}": 1 for number in range(32)}),
        ([("web_searches", 1)], {}),
        (_Raising(), {}),
        (7, {}),
    ],
)
def test_units_that_cannot_be_read_leave_the_rest(recorded: RecordedMeter, given: Any, kept: dict[str, int]) -> None:
    """What could be read counts, as partial, and the mistake is counted."""
    (ai,) = uses(recorded, {"input_tokens": 3, "units": given})
    assert (ai.input_tokens, ai.units, ai.quality) == (3, kept, Quality.PARTIAL)
    assert recorded.meter.counters().hook_errors == 1


def test_units_are_read_when_they_are_given(recorded: RecordedMeter) -> None:
    """The host may use its mapping again."""
    units = {"web_searches": 1}
    with recorded.meter.run() as run, run.node("n") as node:
        node.ai(model="m", units=units)
        units["web_searches"] = 100
        node.record({"ai": {"model": "o", "units": units}})
        units.clear()
    assert [event.ai.units for event in recorded.events if event.ai] == [{"web_searches": 1}, {"web_searches": 100}]


@pytest.mark.parametrize("tier", [7, object(), True])
def test_a_tier_that_is_no_text_is_left_out(recorded: RecordedMeter, tier: Any) -> None:
    """And noted."""
    (ai,) = uses(recorded, {"input_tokens": 3, "service_tier": tier})
    assert (ai.service_tier, ai.quality) == ("", Quality.REPORTED)
    assert recorded.meter.counters().hook_errors == 1


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ("default", "standard"), ("on_demand", "standard"), ("ON_DEMAND", "standard"), ("standard", "standard"),
        ("auto", ""), ("unknown", ""), ("", ""), (" Flex ", "flex"), ("on_demand_flex", "flex"), ("batch", "batch"),
        ("SERVICE_TIER_PRIORITY", "priority"), ("service_tier_unspecified", ""), ("provisioned_throughput",) * 2,
        ("x" * 99, "x" * LONGEST),
    ],
)  # fmt: skip
def test_tiers_have_one_word_each(said: str, word: str) -> None:
    """And a word stays what it is when it is read again."""
    assert service_tier_of(said) == word
    assert service_tier_of(word) == word
