"""One model call, two observers: it counts once, and what the tap read stands."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter.seen import Seen, without_tapped
from taximeter.testing import RecordedMeter
from taximeter_schemas.event import AiUsage

_ID = "chatcmpl-0123456789abcdef"


def _ai(recorded: RecordedMeter) -> list[AiUsage]:
    return [event.ai for event in recorded.events if event.ai]


@pytest.mark.parametrize("claim_first", [True, False])
def test_a_claim_gives_way_to_the_tap(recorded: RecordedMeter, claim_first: bool) -> None:
    """In either order, by the response id, whatever the claim had counted."""
    with recorded.meter.run() as run, run.node("n") as node:
        if claim_first:
            node.ai_claimed(model="gpt-4o", input_tokens=99, response_id=_ID)
        node.ai_tapped(provider="openai", model="gpt-4o-2024-08-06", input_tokens=10, output_tokens=2, response_id=_ID)
        if not claim_first:
            node.ai_claimed(model="gpt-4o", input_tokens=99, response_id=_ID)
    (ai,) = _ai(recorded)
    assert (ai.model, ai.input_tokens) == ("gpt-4o-2024-08-06", 10)


def test_a_call_that_only_a_bridge_saw_counts(recorded: RecordedMeter) -> None:
    """And one that both of two bridges saw counts once."""
    with recorded.meter.run() as run, run.node("n") as node:
        node.ai_claimed(model="m", input_tokens=1, response_id=_ID)
        node.ai_claimed(model="m", input_tokens=1, response_id=_ID)
        node.ai_claimed(model="m", input_tokens=4, response_id=_ID + "2")
    assert sum(ai.input_tokens for ai in _ai(recorded)) == 5


def test_without_an_id_the_same_counts_are_the_same_call(recorded: RecordedMeter) -> None:
    """Each tapped call answers for one claim, so three calls of which two were tapped are three."""
    with recorded.meter.run() as run, run.node("n") as node:
        for _ in range(2):
            node.ai_tapped(model="gpt-4o-2024-08-06", input_tokens=7, output_tokens=1, response_id=_ID)
        for _ in range(3):
            node.ai_claimed(model="gpt-4o", input_tokens=7, output_tokens=1)
    assert sum(ai.input_tokens for ai in _ai(recorded)) == 21


def test_what_the_executor_says_itself_gives_way_to_the_tap_by_its_id(recorded: RecordedMeter) -> None:
    """A line of the executor's that states the call once more does not double it."""
    with recorded.meter.run() as run, run.node("n") as node:
        node.ai_tapped(model="m", input_tokens=10, response_id="short")
        node.ai(model="m", input_tokens=10, response_id="short")
        node.ai(model="m", input_tokens=3)
    assert sum(ai.input_tokens for ai in _ai(recorded)) == 13


@pytest.mark.parametrize("claim_first", [True, False])
def test_a_second_sight_after_the_node_has_ended_is_known(recorded: RecordedMeter, claim_first: bool) -> None:
    """A span that ends late, and a stream that is read late: the id of the call is remembered over nodes."""
    words: dict[str, Any] = {"model": "m", "input_tokens": 10, "response_id": _ID}
    with recorded.meter.run() as run, run.node("n") as node:
        (node.ai_claimed if claim_first else node.ai_tapped)(**words)
    (node.ai_tapped if claim_first else node.ai_claimed)(**words)
    assert sum(ai.input_tokens for ai in _ai(recorded)) == 10


def test_an_id_of_a_server_that_numbers_its_answers_is_not_remembered(recorded: RecordedMeter) -> None:
    """Two calls of two nodes may well have the same one."""
    for _ in range(2):
        with recorded.meter.run() as run, run.node("n") as node:
            node.ai_claimed(model="m", input_tokens=10, response_id="chatcmpl-123")
    assert sum(ai.input_tokens for ai in _ai(recorded)) == 20


def test_a_node_of_many_calls_stays_small_and_exact(recorded: RecordedMeter) -> None:
    """Ten thousand calls of each kind are added up on the way."""
    with recorded.meter.run() as run, run.node("n") as node:
        for number in range(10_000):
            node.ai(model="m", input_tokens=1)
            node.http()
            if number % 2:
                node.ai_tapped(model="m", input_tokens=1, response_id=f"{_ID}{number}")
            else:
                node.ai_claimed(model="m", input_tokens=1, response_id=f"{_ID}{number}")
        assert len(node._notes) < 40_000  # type: ignore[union-attr]  # a real node
    assert sum(ai.input_tokens for ai in _ai(recorded)) == 20_000
    assert sum(event.http.requests for event in recorded.events if event.http) == 10_000


_calls = st.lists(
    st.tuples(st.sampled_from(["", "a", "b", "c"]), st.sampled_from(["x", "y"]), st.integers(0, 2)), max_size=6
)


def _groups(calls: list[tuple[str, str, int]]) -> list[dict[str, Any]]:
    return [{"response_id": i, "model": m, "input_tokens": n} for i, m, n in calls]


@given(_calls, _calls)
def test_claims_are_never_more_after_than_before(claims: list[Any], tapped: list[Any]) -> None:
    """What is left is some of the claims in their order; none whose id was tapped; no id twice."""
    given_claims = _groups(claims)
    kept = without_tapped(given_claims, _groups(tapped))
    rest = iter(given_claims)
    assert all(any(claim is one for one in rest) for claim in kept)
    ids = [claim["response_id"] for claim in kept if claim["response_id"]]
    assert len(ids) == len(set(ids))
    assert not {claim["response_id"] for claim in kept} & {i for i, _, _ in tapped if i}
    assert len(kept) >= len({(i or n) for n, (i, _, _) in enumerate(claims)}) - len(tapped)


def test_what_is_remembered_is_bounded() -> None:
    """The oldest id is forgotten first."""
    seen = Seen(most=2)
    for number in range(3):
        assert seen.counts({"response_id": f"{_ID}{number}"}, "tapped")
    assert seen.counts({"response_id": f"{_ID}0"}, "claimed")
    assert not seen.counts({"response_id": f"{_ID}2"}, "claimed")


@pytest.mark.parametrize("late", [False, True])
def test_a_bridge_and_a_line_of_the_executors_own_count_once_by_their_id(recorded: RecordedMeter, late: bool) -> None:
    """The executor's line stands, also when the bridge's record comes after the node's end."""
    with recorded.meter.run() as run, run.node("n") as node:
        node.ai(model="m", input_tokens=10, response_id=_ID)
        if not late:
            node.ai_claimed(model="m", input_tokens=99, response_id=_ID)
    if late:
        node.ai_claimed(model="m", input_tokens=99, response_id=_ID)
    assert sum(ai.input_tokens for ai in _ai(recorded)) == 10


def test_a_line_of_the_executors_own_that_comes_after_the_taps_counts_no_more(recorded: RecordedMeter) -> None:
    """As for a stream that was read in one node and summed up in the next."""
    with recorded.meter.run() as run:
        with run.node("reads") as node:
            node.ai_tapped(model="m", input_tokens=10, response_id=_ID)
        with run.node("sums up") as node:
            node.ai(model="m", input_tokens=10, response_id=_ID)
    assert sum(ai.input_tokens for ai in _ai(recorded)) == 10


def test_two_records_of_the_executors_with_one_id_both_count(recorded: RecordedMeter) -> None:
    """It may state the parts of an answer one by one."""
    with recorded.meter.run() as run, run.node("n") as node:
        node.ai(model="m", input_tokens=10, response_id=_ID)
        node.ai(model="judge", input_tokens=3, response_id=_ID)
    assert sum(ai.input_tokens for ai in _ai(recorded)) == 13


def test_media_that_differ_are_two_calls() -> None:
    """Speech and images state no tokens that could tell two calls apart."""
    tapped = [{"model": "tts-1", "characters": 100}]
    assert without_tapped([{"model": "tts-1", "characters": 200}], tapped) == [{"model": "tts-1", "characters": 200}]
    assert without_tapped([{"model": "tts-1", "characters": 100}], tapped) == []
    assert without_tapped([{"model": "tts-1"}], tapped) == []


def test_what_was_billed_beside_a_call_answers_for_no_other() -> None:
    """A call of two models has one id; a claim of it uses up both of its records."""
    tapped = [
        {"model": "m", "input_tokens": 5, "response_id": _ID},
        {"model": "advisor", "input_tokens": 2, "response_id": _ID},
    ]
    other = {"model": "m", "input_tokens": 5}
    assert without_tapped([{"model": "m", "input_tokens": 5, "response_id": _ID}, other], tapped) == [other]


def test_long_ids_are_told_apart_and_not_kept() -> None:
    """An id may be as long as it likes; what is remembered of it is short."""
    seen = Seen()
    assert seen.counts({"response_id": "a" + "x" * 1_000}, "tapped")
    assert seen.counts({"response_id": "b" + "x" * 1_000}, "claimed")
    assert not seen.counts({"response_id": "a" + "x" * 1_000}, "claimed")
    assert max(map(len, seen._ids)) < 128
