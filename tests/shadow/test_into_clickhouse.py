"""A replay into the live tables: it changes nothing that is there, and brings back what was lost."""

from __future__ import annotations

from contextlib import closing

import pytest
from tests.shadow.conftest import Live

from taximeter_consumers.audit.log import LogProbe
from taximeter_consumers.replay import bulk
from taximeter_consumers.replay.event_filter import EventFilter
from taximeter_consumers.replay.into_clickhouse import Conduct, Wish, store
from taximeter_consumers.replay.topic_range import TopicRange
from taximeter_consumers.replay.topic_reader import TopicReader
from taximeter_consumers.sink.log_identity import LogIdentity
from taximeter_schemas.registry import PackagedRegistry

pytestmark = pytest.mark.integration


def replayed(live: Live, wanted: EventFilter, topic: str | None = None) -> bulk.Stored:
    """A whole topic into the live tables, as the command does it."""
    name = topic or live.topics.events
    with closing(TopicReader(live.kafka, name)) as reader:
        log = LogIdentity(live.kafka, name, seen=False).log
        with closing(LogProbe(live.kafka, name, live.topics.events)) as probe:
            settled = {one: offset for one, offset in probe.committed(reader.partitions).items() if offset is not None}
        wish = Wish(TopicRange(), wanted, PackagedRegistry(), settled)
        stored, _ = store(reader, log, wish, live.clickhouse, Conduct())
    return stored


def test_a_replay_changes_no_total(live: Live) -> None:
    """Twice over, whole or filtered."""
    totals = live.totals()
    (account,) = live.clickhouse.rows("SELECT account_id FROM run_costs ORDER BY cost_usd DESC LIMIT 1")[0]
    assert replayed(live, EventFilter()).batches > 0
    assert live.totals() == totals
    replayed(live, EventFilter(account_ids=frozenset({account})))
    assert live.totals() == totals
    assert not replayed(live, EventFilter(account_ids=frozenset({"nobody"}))).batches


def test_a_replay_brings_back_what_was_lost(live: Live) -> None:
    """Rows that were deleted are stored again, though the engine has seen their insert before, and count again."""
    totals = live.totals()
    lost = "account_id = (SELECT min(account_id) FROM stored_events)"
    live.clickhouse.execute(f"ALTER TABLE stored_events DELETE WHERE {lost}", settings={"mutations_sync": 2})
    live.clickhouse.execute("TRUNCATE TABLE stored_run_costs")
    assert live.totals() != totals
    replayed(live, EventFilter())
    assert live.totals() == totals


@pytest.mark.parametrize("lost", ["kafka_partition != 1 OR first_offset % 3 = 0", "true"])
def test_a_replay_brings_back_what_the_ledger_lost(live: Live, lost: str) -> None:
    """The very batches, dead letters among them, from the rows that name them and the log; even if none is left."""
    coordinates = "kafka_partition, first_offset, last_offset, batch_id, content_hash"
    whole = f"SELECT {coordinates}, records, stored, dead_lettered, arrived_at FROM ingest_batches"
    whole += " WHERE stored > 0 ORDER BY ALL"
    sums = "SELECT kafka_partition, sum(records), sum(stored), sum(dead_lettered), max(last_offset) FROM ingest_batches"
    sums += " GROUP BY kafka_partition ORDER BY kafka_partition"
    totals, ledger, summed = live.totals(), live.clickhouse.rows(whole), live.clickhouse.rows(sums)
    live.clickhouse.execute(f"ALTER TABLE stored_ingest_batches DELETE WHERE {lost}", settings={"mutations_sync": 2})
    assert live.clickhouse.rows(whole) != ledger
    replayed(live, EventFilter())
    assert live.clickhouse.rows(whole) == ledger
    # A batch of bad records alone has no row to be known by: it is cut anew, perhaps with its neighbours.
    assert live.clickhouse.rows(sums) == summed
    assert live.totals() == totals


def test_a_log_that_another_database_stores_is_taken_whole(live: Live) -> None:
    """What its sink has committed is nothing that this ledger lost."""
    name = live.topics.events
    with live.shadow("elsewhere") as pair, closing(TopicReader(live.kafka, name)) as reader:
        settled = dict.fromkeys(reader.partitions, 10**6)
        target = bulk.Target(pair.shadow, PackagedRegistry(), again=True, settled=settled)
        todo = bulk.plan(reader, "its log", reader.spans(TopicRange()), pair.shadow, target)
        assert not todo.is_known
        assert todo.offsets == sum(span.end - span.first for span in reader.spans(TopicRange()))


def test_a_log_that_no_ledger_knows_is_filtered_event_by_event(live: Live) -> None:
    """The dead letters hold what nobody can decode: with a filter nothing of them is stored, without one it is counted
    as bad. The log of the events is not touched."""
    totals = live.totals()
    letters = live.topics.dead_letters
    assert replayed(live, EventFilter(account_ids=frozenset({"acct-001"})), letters).records == 0
    stored = replayed(live, EventFilter(), letters)
    assert stored.records == stored.bad > 0
    assert live.totals()[:-1] == totals[:-1]
    others = f"kafka_topic = '{letters}'"
    live.clickhouse.execute(f"ALTER TABLE stored_ingest_batches DELETE WHERE {others}", settings={"mutations_sync": 2})
    assert live.totals() == totals
