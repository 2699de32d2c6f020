"""Names that meet, and what a residual is attributed to: no server is asked."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter_consumers.reconcile.attribution import Day, Doubt, Measure, Reason, Use, compare, total_of, typical_call
from taximeter_consumers.reconcile.names import billed_by, meet, metered_name

NOON = date(2026, 11, 2)


def day(billed: str, sound: Use, *doubts: Doubt) -> Day:
    """A day with a bill of so many dollars."""
    use = sound
    for doubt in doubts:
        use = use.plus(doubt.use)
    return Day(NOON, "openai", "gpt-4o", use, sound, Use(0, Decimal(billed), 0), doubts, doubts)


def doubt(reason: Reason, calls: int, cost: str = "0", run: str = "r1") -> Doubt:
    """Calls of one run."""
    return Doubt(reason, Use(calls, Decimal(cost), 0), "acme", run)


@pytest.mark.parametrize(
    ("billed", "metered"),
    [
        ("gpt-4o-2024-08-06", ("openai", "gpt-4o")),
        ("gpt-4o", ("openai", "gpt-4o-2024-08-06")),
        ("gpt-4o", ("openai", "gpt-4o")),
        ("Claude Haiku 4.5", ("anthropic", "claude-haiku-4-5")),
        ("Claude Haiku 4.5", ("anthropic", "claude-haiku-4-5-20251001")),
    ],
)
def test_dated_names_and_names_for_people_meet(billed: str, metered: tuple[str, str]) -> None:
    """The bill says one name of a model, the events another."""
    assert meet(billed, [metered, (metered[0], "another-model")]) == metered[1]


def test_names_that_only_look_alike_do_not_meet() -> None:
    """A smaller model is another model, and what nobody metered keeps its name."""
    assert meet("gpt-4o-mini", [("openai", "gpt-4o")]) == "gpt-4o-mini"
    assert meet("web search", []) == "web search"


def test_a_model_that_two_providers_have_is_not_guessed() -> None:
    """A bill of nobody in particular meets a name only where there is one."""
    known = [("groq", "llama-a"), ("house", "llama-b")]
    assert meet("llama-a", known) == "llama-a"
    assert meet("llama-c", known) == "llama-c"


def test_a_reseller_sends_bills_of_its_own() -> None:
    """The APIs of a provider are on its bill, its resellers are not."""
    assert billed_by("OpenAI.responses", ("openai",)) == "openai"
    assert billed_by("azure", ("openai",)) is None
    assert billed_by("azure", ("",)) == ""
    assert metered_name("gpt-4o-2024-08-06", "gpt-4o") == "gpt-4o"
    assert metered_name("llm-1", "") == "llm-1"


def test_calls_of_unknown_use_explain_what_a_sound_call_costs() -> None:
    """Ten sound calls of a dime each: two of unknown use may explain twenty cents of the thirty."""
    found = compare(day("1.30", Use(10, Decimal(1)), doubt(Reason.UNMEASURED, 2)), Measure.COST, 5)
    assert (found.residual, found.explained, found.unexplained) == (Decimal("0.3"), Decimal("0.2"), Decimal("0.1"))
    assert [(one.doubt.run_id, one.could_explain) for one in found.candidates] == [("r1", Decimal("0.2"))]
    assert found.share == Decimal("0.230769")


def test_failed_calls_explain_a_bill_that_is_lower() -> None:
    """What was metered of a call that failed may not have been billed."""
    found = compare(day("1.00", Use(10, Decimal(1)), doubt(Reason.FAILED, 1, "0.25")), Measure.COST, 5)
    assert (found.residual, found.explained, found.unexplained) == (Decimal("-0.25"), Decimal("-0.25"), Decimal(0))


def test_a_correction_explains_only_its_own_direction() -> None:
    """Re-rating that made us dearer explains no bill that is higher still."""
    dearer = doubt(Reason.ADJUSTED, 0, "0.5")
    assert compare(day("1", Use(10, Decimal(1)), dearer), Measure.COST, 5).explained == Decimal("-0.5")
    assert compare(day("2", Use(10, Decimal(1)), dearer), Measure.COST, 5).explained == 0


def test_without_sound_calls_the_bill_says_what_one_costs() -> None:
    """A model without any price: its calls explain the whole bill."""
    line = day("3", Use(), doubt(Reason.UNPRICED, 3))
    assert typical_call(line, Measure.COST) == 1
    assert compare(line, Measure.COST, 5).unexplained == 0


def test_the_best_candidates_come_first_and_only_so_many() -> None:
    """By what they could explain, then by reason and name."""
    line = day("9", Use(1, Decimal(1)), *(doubt(Reason.UNMEASURED, calls, run=f"r{calls}") for calls in (1, 3, 2)))
    assert [one.doubt.run_id for one in compare(line, Measure.COST, 2).candidates] == ["r3", "r2"]


AMOUNTS = st.decimals(-100, 100, places=4)


@given(
    AMOUNTS,
    st.tuples(st.integers(0, 5), AMOUNTS),
    st.lists(st.tuples(st.sampled_from(list(Reason)), st.integers(0, 5), AMOUNTS), max_size=6),
)
def test_explained_and_unexplained_make_up_the_residual(
    billed: Decimal, sound: tuple[int, Decimal], doubts: list[tuple[Reason, int, Decimal]]
) -> None:
    """Nothing is explained twice, nor beyond the residual, nor against its sign."""
    line = day(str(billed), Use(*sound), *(doubt(reason, calls, str(cost)) for reason, calls, cost in doubts))
    found = compare(line, Measure.COST, 3)
    assert found.explained + found.unexplained == found.residual
    assert abs(found.explained) <= abs(found.residual)
    assert found.explained * found.residual >= 0
    assert all(one.could_explain > 0 for one in (*found.reasons, *found.candidates))
    _, _, residual, unexplained = total_of([found, found])
    assert (residual, unexplained) == (2 * abs(found.residual), 2 * abs(found.unexplained))
