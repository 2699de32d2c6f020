"""Probes run side by side, and none of them can hold up a look."""

from __future__ import annotations

import threading

from taximeter_infra.status.facts import Trouble
from taximeter_infra.status.lookout import Lookout
from taximeter_schemas.errors import Misconfigured, Retryable


def raising(error: Exception) -> object:
    """Raises it."""
    raise error


def test_a_probe_that_hangs_hides_nobody_else() -> None:
    """It is told as one that does not answer, is not started twice, and is heard again once it answers."""
    free, started = threading.Event(), []

    def hangs() -> str:
        started.append(1)
        free.wait()
        return "here"

    lookout = Lookout({"slow": hangs, "quick": lambda: 1}, {"slow": "start it"}, limit=0.1)
    for _ in range(2):
        found = lookout.look()
        assert found["quick"] == 1
        assert found["slow"].mend == "start it"
    assert len(started) == 1
    assert lookout.busy == ["slow"]
    free.set()
    patient = Lookout({"slow": hangs}, {})
    assert patient.look() == {"slow": "here"}


def test_troubles_bring_their_mends() -> None:
    """A Misconfigured its own, others that of the probe; a bug ends no look."""
    lookout = Lookout(
        {
            "wrong": lambda: raising(Misconfigured("no such topic", mend="create it")),
            "away": lambda: raising(Retryable("nobody there")),
            "bug": lambda: raising(KeyError("x")),
        },
        {"away": "start it"},
    )
    assert lookout.look() == {
        "wrong": Trouble("no such topic", "create it"),
        "away": Trouble("nobody there", "start it"),
        "bug": Trouble("KeyError while looking: 'x'"),
    }
