"""Which sums an erasure calls changed, and how it hears of whom. No server."""

from __future__ import annotations

import pytest
import typer

from taximeter_consumers.erasure.money import FROZEN, Totals, differences
from taximeter_infra.cli import who as asked
from taximeter_infra.cli.erase import _only_line

OPEN = ("usage_by_subject", "acme", "", "")
OLD = ("usage_by_subject", "acme", FROZEN, "")
FEW, MORE = ("1", "10", "0.5"), ("2", "20", "1")


def test_what_is_frozen_is_told_apart() -> None:
    """A tick explains an open sum, and never one from before the horizon, even where the whole is the same."""
    before = Totals(1, {OPEN: FEW, OLD: FEW}, kept_from=5)
    assert differences(before, Totals(2, {OPEN: FEW, OLD: FEW}, kept_from=5)) == ((), ())
    frozen, rest = differences(before, Totals(2, {OPEN: MORE, OLD: FEW}, kept_from=5))
    assert (frozen, len(rest)) == ((), 1)
    frozen, rest = differences(before, Totals(2, {OPEN: FEW, OLD: MORE}, kept_from=5))
    assert (len(frozen), rest) == (1, ())
    assert "before the horizon" in frozen[0]


def test_another_horizon_compares_nothing_frozen() -> None:
    """A deletion in between: the two sums are of different days."""
    before, after = Totals(1, {OLD: FEW}, kept_from=5), Totals(1, {OLD: MORE}, kept_from=6)
    assert differences(before, after) == ((), ())


@pytest.mark.parametrize("text", ["ada", "ada\n"])
def test_one_id_is_read(text: str) -> None:
    """With or without the end of its line."""
    assert _only_line(text) == "ada"


def test_a_second_id_is_refused() -> None:
    """It would have been left out without a word."""
    with pytest.raises(typer.BadParameter, match="one user at a time"):
        _only_line("ada\nbob\n")


def test_a_user_without_a_name_is_asked_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user id stands in no list: no traceback, and the option is enough."""

    def nobody() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr(asked.getpass, "getuser", nobody)
    assert asked.who("ops") == "ops"
    with pytest.raises(typer.BadParameter, match="does not say who you are"):
        asked.who(None)
