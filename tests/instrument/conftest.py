"""Fixtures: a server that answers as it is told, and taps that end with the test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.instrument.loopback import Answer, Loopback

from taximeter.instrument import uninstrument
from taximeter.testing import RecordedMeter, memory_meter


@pytest.fixture
def server() -> Iterator[Loopback]:
    """A server; `server.say(...)` before it is asked."""
    with Loopback(Answer()) as loopback:
        yield loopback


@pytest.fixture
def recorded() -> Iterator[RecordedMeter]:
    """A meter that keeps its events; the libraries are whole again after the test, and no tap made a mistake."""
    with memory_meter() as meter:
        yield meter
        uninstrument()
    assert meter.meter.faults.count == 0
