"""How many parts bundles make: counted, and looked up where only the server knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest
from tests.sink.conftest import Pipeline
from tests.sink.records import events, value_of

from taximeter_consumers.clickhouse import connect
from taximeter_consumers.sink.parts import USUAL, PartsMade
from taximeter_schemas.uuid7 import compose

pytestmark = pytest.mark.integration


@contextmanager
def _parts(pipeline: Pipeline) -> Iterator[PartsMade]:
    with closing(connect(pipeline.clickhouse_settings)) as clickhouse:
        yield PartsMade(clickhouse)


def _bundles(parts: PartsMade, count: int, inserts: int = 1, entries: int = 1) -> None:
    for _ in range(count):
        parts.began()
        for _ in range(inserts):
            parts.inserted()
        for _ in range(entries):
            parts.entered()


def test_a_bundle_makes_two_parts_until_it_is_known_better(pipeline: Pipeline) -> None:
    """One of events, one of the ledger; more where it takes more INSERTs, and the usual again after a while."""
    with _parts(pipeline) as parts:
        assert parts.of_a_bundle() == USUAL
        _bundles(parts, 3)
        parts.look()
        assert parts.of_a_bundle() == pytest.approx(2)
        _bundles(parts, 200, inserts=2, entries=4)
        assert parts.of_a_bundle() == pytest.approx(6, abs=0.01)
        _bundles(parts, 200)
        assert parts.of_a_bundle() == pytest.approx(2, abs=0.01)


def test_events_of_three_months_make_three_parts(pipeline: Pipeline) -> None:
    """Which no record says without being decoded."""
    made = []
    for number, event in enumerate(events(300, seed=3)):
        at = event.occurred_at + timedelta(days=31 * (number % 3))
        event_id = compose(int(at.timestamp() * 1000), event.event_id.bytes[-10:])
        made.append(event.model_copy(update={"occurred_at": at, "event_id": event_id}))
    pipeline.produce([value_of(event) for event in made])
    pipeline.run()
    with _parts(pipeline) as parts:
        _bundles(parts, 1)
        assert parts.of_a_bundle() == pytest.approx(2)
        parts.look()
        assert parts.of_a_bundle() == pytest.approx(4)
