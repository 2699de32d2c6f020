"""Exact numbers and gaps, and the words of findings: no server is asked."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter_consumers.conservation import findings
from taximeter_consumers.conservation.flight import Mark, Pending
from taximeter_consumers.conservation.measures import COST, Gap, Place, amount, compare, whole
from taximeter_infra.cli.conservation_view import gap_line

MARK = Mark(tick=1, at=1, reprices=0, reprices_open=0, book_version=7)


@given(st.integers(-(10**55), 10**55))
def test_costs_come_and_go_to_the_last_digit(value: int) -> None:
    """Far more digits than a float or the usual context of decimals has."""
    assert whole(f"{amount(COST, value):f}") == value


def test_a_cost_that_is_finer_than_any_stored_one_is_refused() -> None:
    """Nothing is rounded on the way."""
    assert whole("-0.5") == -5 * 10**17
    assert whole("3") == 3 * 10**18
    with pytest.raises(ValueError, match="more than 18"):
        whole("0.0000000000000000001")


@given(st.dictionaries(st.sampled_from("abc"), st.integers()), st.dictionaries(st.sampled_from("abc"), st.integers()))
def test_a_gap_is_wherever_two_sides_differ(left: dict[str, int], right: dict[str, int]) -> None:
    """A side without a number has zero; the difference is what the right one has beyond."""
    gaps = compare("pair", Place("acme", "run", "r1"), left, right, "ab")
    assert {gap.measure for gap in gaps} == {name for name in "ab" if left.get(name, 0) != right.get(name, 0)}
    assert all(gap.left + gap.difference == gap.right for gap in gaps)


def test_a_gap_says_where_it_is_in_plain_digits() -> None:
    """Account, place, measure, both numbers and what is between them."""
    gap = Gap("charged = node_costs", Place("acme", "node", "r1", "n1"), COST, 1, 10**18)
    assert gap_line(gap) == (
        "charged = node_costs: account acme, run r1 node n1, cost_usd: 0.000000000000000001 != 1"
        " (difference 0.999999999999999999)"
    )
    assert amount("events", 3) == Decimal(3)


def test_what_happens_meanwhile_keeps_an_audit_from_proving() -> None:
    """Batches that wait, rows without a ledger, re-ratings and a newer book are each told; at rest nothing is."""
    nothing = Pending()
    assert findings.of_flight(MARK, MARK, nothing, nothing, 0) == []
    waiting = Pending(2, 10, frozenset({5}))
    told = findings.of_flight(MARK, replace(MARK, reprices=1), waiting, waiting, 3)
    assert [finding.kind for finding in told] == ["not_rolled_up", "not_in_ledger", "repricing", "in_flight"]
    assert findings.of_flight(MARK, MARK, Pending(unknown=frozenset({5})), Pending(unknown=frozenset({6})), 0) == []
    assert findings.of_book(7, 7, 1) == []
    assert findings.of_book(7, 8, 0) == []
    assert [finding.kind for finding in findings.of_book(7, 8, 1)] == ["new_prices"]
