"""Which runs the options ask for."""

from __future__ import annotations

import pytest

from chaos.__main__ import parse, runs
from chaos.faults import all_faults


def _asked(*argv: str) -> list[tuple[str, int]]:
    return [(run.fault.name, run.seed) for run in runs(parse(argv))]


def test_seed_by_seed() -> None:
    """A run that is cut short has tried every fault."""
    assert _asked("--seeds", "2", "--fault", "zombie", "--fault", "same_id") == [
        ("zombie", 1), ("same_id", 1), ("zombie", 2), ("same_id", 2),
    ]  # fmt: skip
    assert {name for name, _ in _asked()} == set(all_faults())


def test_a_run_that_was_cut_short_goes_on() -> None:
    """With the seed that it had come to."""
    assert [seed for _, seed in _asked("--fault", "zombie", "--first", "19", "--seeds", "2")] == [19, 20]
    assert _asked("--fault", "zombie", "--seed", "7", "--first", "3", "--seeds", "9") == [("zombie", 7)]


def test_a_fault_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """With how to see those that there are."""
    with pytest.raises(SystemExit):
        parse(["--fault", "meteor"])
    assert "there is no fault meteor; --list shows them" in capsys.readouterr().err
