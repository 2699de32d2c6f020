"""Two sinks under one instance id: each takes the partitions from the other, and no number changes."""

from __future__ import annotations

import pytest
from tests.sink.conftest import Pipeline, live
from tests.sink.records import events, value_of

from taximeter_infra.stack.waiting import wait_until

pytestmark = pytest.mark.integration


def test_two_sinks_under_one_instance_id_take_turns(pipeline: Pipeline) -> None:
    """Neither ends: who is fenced joins anew. It is how a sink looks to the broker, too, whose own session has just
    ended, and that one is alone."""
    made = events(3_000, seed=11)
    values = [value_of(event) for event in made]
    with live(pipeline, instance_id="same"):
        pipeline.produce(values[:1_000])
        assert wait_until(lambda: pipeline.physical_rows() == 1_000, 60)
        with live(pipeline, instance_id="same"):
            pipeline.produce(values[1_000:2_000])
            assert wait_until(lambda: pipeline.physical_rows() == 2_000, 60)
        pipeline.produce(values[2_000:])
        assert wait_until(lambda: pipeline.physical_rows() == 3_000, 60)
    assert pipeline.sums()[:2] == (3_000, 3_000)
    assert pipeline.clickhouse.scalar("SELECT sum(records) FROM ingest_batches") == 3_000
