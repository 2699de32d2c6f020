"""One node of one run, as most tests of bridges need it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from taximeter.testing import RecordedMeter, memory_meter


@contextmanager
def in_node() -> Iterator[RecordedMeter]:
    """The block is inside node `n` of a run of the account acme; its events can be read afterwards."""
    with memory_meter() as recorded, recorded.meter.run(account_id="acme") as run, run.node("n"):
        yield recorded
