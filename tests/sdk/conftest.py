"""Fixtures of the SDK's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from taximeter import current
from taximeter.testing import RecordedMeter, memory_meter


@pytest.fixture(autouse=True)
def _outside_every_run() -> None:
    """Callback nodes that another test left open are not current in this one."""
    current._here.set(None)


@pytest.fixture
def recorded() -> Iterator[RecordedMeter]:
    """A meter that keeps its events in memory."""
    with memory_meter() as meter:
        yield meter
