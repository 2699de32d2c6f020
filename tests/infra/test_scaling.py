"""The arithmetic of docs/scaling.md, and that the page says what it computes."""

from __future__ import annotations

import pytest
from bench.scaling import ASSUMED, PAGE, main, need, page_with, tables
from hypothesis import given
from hypothesis import strategies as st


def test_the_page_has_the_computed_tables() -> None:
    """Whoever changes a number changes the page: `python -m bench.scaling`."""
    text = PAGE.read_text(encoding="utf-8")
    assert page_with(text, tables()) == text, "run python -m bench.scaling and put its tables into docs/scaling.md"
    assert main(["--check"]) == 0


@given(st.integers(1, 2_000_000), st.integers(1, 2_000_000))
def test_more_events_never_need_less(one: int, other: int) -> None:
    """Every need grows with the rate, and sinks are never more than partitions."""
    less, more = need(min(one, other)), need(max(one, other))
    for name in ("partitions", "sinks", "shards", "client_cores", "store_cores", "log_gb", "stored_gb"):
        assert getattr(less, name) <= getattr(more, name)
    assert less.sinks <= less.partitions
    assert more.month_usd(ASSUMED) >= less.month_usd(ASSUMED)


def test_a_known_rate() -> None:
    """By hand: 100,000 events a second, half-busy machines."""
    found = need(100_000)
    assert found.client_cores == pytest.approx(100_000 * 3.0e-6 / 0.5)
    assert found.log_gb == pytest.approx(100_000 * 86_400 * 7 * 90 * 3 / 1e9)
    assert found.sinks == 1


def test_a_page_without_a_place_is_refused() -> None:
    """The marks must be there."""
    with pytest.raises(ValueError, match="substring"):
        page_with("no marks", tables())
