"""Shadows of a live pipeline: built, compared, swapped in and back, killed at every step."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from tests.shadow.conftest import Killed, Live, failing_at

from taximeter_consumers.failpoints import SWAP
from taximeter_consumers.pricing.book import append_rates, read_rates
from taximeter_consumers.pricing.rate import EPOCH
from taximeter_consumers.replay.topic_range import Offsets, TopicRange
from taximeter_consumers.shadow import database, journal
from taximeter_consumers.shadow.catch_up import require_all
from taximeter_consumers.shadow.database import ChosenBook
from taximeter_consumers.shadow.diff import differences
from taximeter_consumers.shadow.pause import is_paused
from taximeter_consumers.shadow.swap import recover, swap
from taximeter_schemas.errors import Misconfigured

pytestmark = pytest.mark.integration
BATCHES = """
SELECT kafka_partition, first_offset, last_offset, batch_id, stored, dead_lettered FROM ingest_batches ORDER BY 1, 2
"""


def test_a_shadow_is_what_is_live(live: Live) -> None:
    """The same batches, events and rollups; a second call finds nothing to do; what is stored meanwhile is added."""
    with live.shadow("equal") as pair:
        caught = live.fill(pair)
        assert (caught.lacking, caught.stored.bad) == (0, 1)
        assert live.totals(pair.shadow) == live.totals()
        assert pair.shadow.rows(BATCHES) == pair.live.rows(BATCHES)
        assert differences(pair) == []
        again = live.fill(pair)
        assert (again.stored.batches, again.stored.there_before) == (0, caught.stored.batches)
        live.produce(12, 60)
        live.store()
        assert differences(pair) == []
        assert live.fill(pair).stored.records == 61
        assert differences(pair) == []
        live.roll_up()
        assert differences(pair) == []


def test_a_killed_build_goes_on(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed with rows stored and not entered, and in the middle of a tick: the next call ends with the same."""
    with live.shadow("killed") as pair:
        for place in ("replay.before_ledger", "aggregate.before_record"):
            with monkeypatch.context() as patched:
                failing_at(place, patched)
                with pytest.raises(Killed):
                    live.fill(pair)
        live.fill(pair)
        assert live.totals(pair.shadow) == live.totals()
        assert differences(pair) == []


def test_a_difference_is_named_to_the_last_digit(live: Live) -> None:
    """A row of the live rollups that somebody changed by hand shows, with both sides, and as JSON."""
    with live.shadow("differs") as pair:
        live.fill(pair)
        row = "SELECT * FROM stored_model_costs FINAL WHERE cost_usd > 0 ORDER BY account_id, hour, model LIMIT 1"
        change = "cost_usd + toDecimal128('0.000000000000000001', 18) AS cost_usd, version + 1 AS version"
        live.clickhouse.execute(f"INSERT INTO stored_model_costs SELECT * REPLACE ({change}) FROM ({row})")
        (found,) = differences(pair)
        assert found.live.cost_usd - found.shadow.cost_usd == Decimal("1E-18")
        assert found.live.events == found.shadow.events > 0
        assert found.as_json()["cost_difference_usd"] == "-0.000000000000000001"
        # However many batches wait for a tick: the server takes no parameter of more than 128 KiB.
        many = "SELECT 'many', number, number, 18000000000000000000 + number FROM numbers(12000)"
        live.clickhouse.execute(
            f"INSERT INTO stored_ingest_batches (kafka_topic, first_offset, last_offset, batch_id) {many}"
        )
        assert differences(pair) == [found]
        deleted = "ALTER TABLE stored_ingest_batches DELETE WHERE kafka_topic = 'many'"
        live.clickhouse.execute(deleted, settings={"mutations_sync": 1})
        # The shadow is right, so it goes in for the tests that follow.
        swap(pair, swapped_in=True)
        assert differences(pair)[0].shadow == found.live


def test_prices_may_be_those_of_another_time(live: Live) -> None:
    """With the book as it was before a price came, events cost what they did; a book is found by its version too."""
    before = datetime.now(UTC)
    (version,) = live.clickhouse.rows("SELECT argMax(book_version, tick) FROM stored_book_versions")[0]
    former = live.totals()
    model = live.clickhouse.rows("SELECT book_provider, book_model FROM model_aliases WHERE book_model != '' LIMIT 1")[
        0
    ]
    rates = [one for one in read_rates(live.clickhouse) if (one.provider, one.model) == model and one.usd_per_unit]
    dearer = [
        replace(one, usd_per_unit=(one.usd_per_unit or 0) * 2, valid_from=one.valid_from + timedelta(seconds=1))
        for one in rates
    ]
    append_rates(live.clickhouse, [replace(one, known_from=EPOCH) for one in dearer])
    live.roll_up()
    assert live.totals() != former
    for name, book in (("as_of", ChosenBook(as_of=before)), ("version", ChosenBook(version=version))):
        with live.shadow(name, book) as pair:
            live.fill(pair)
            assert live.totals(pair.shadow) == former
            assert differences(pair) != []
            with pytest.raises(Misconfigured, match="--fresh"):
                database.make(live.settings, name, lambda _: None, ChosenBook())
    with pytest.raises(Misconfigured, match="there is no book 5"), live.shadow("none", ChosenBook(version=5)):
        pass
    live.clickhouse.execute(f"DROP DATABASE IF EXISTS {live.settings.database}_shadow_none SYNC")


def test_a_swap_loses_nothing(live: Live) -> None:
    """Events that are stored after the build are in the tables that come in, and after an undo in those that return."""
    with live.shadow("swapped") as pair:
        live.fill(pair)
        live.more(13, 80)
        totals = live.totals()
        uuid = "SELECT toString(uuid) FROM system.tables WHERE database = currentDatabase() AND name = 'stored_events'"
        former = live.clickhouse.scalar(uuid)
        assert swap(pair, swapped_in=True).tables
        assert live.clickhouse.scalar(uuid) != former
        assert live.totals() == totals
        with pytest.raises(Misconfigured, match="swapped in already"):
            swap(pair, swapped_in=True)
        live.more(14, 80)
        assert live.totals() != totals
        totals = live.totals()
        swap(pair, swapped_in=False)
        assert (live.clickhouse.scalar(uuid), live.totals()) == (former, totals)
        live.more(15, 80)
        live.fill(pair)
        assert differences(pair) == []


def test_a_swap_that_dies_is_ended_by_the_next_call(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every step: before it is noted nothing has happened and inserts are taken again; after it, it is finished."""
    with live.shadow("dying") as pair:
        live.fill(pair)
        swapped_in = False
        for place in SWAP:
            with monkeypatch.context() as patched:
                failing_at(place, patched)
                with pytest.raises(Killed):
                    swap(pair, swapped_in=not swapped_in)
            totals = live.totals()
            finished = recover(pair)
            assert finished == (None if place in SWAP[:2] else not swapped_in), place
            swapped_in = swapped_in if finished is None else finished
            assert not journal.standing(pair.shadow).open
            assert not is_paused(pair.live, "stored_events"), place
            assert (live.totals(), differences(pair)) == (totals, []), place
        assert swapped_in is False
        live.more(16, 40)
        live.fill(pair)
        assert differences(pair) == []


def test_a_part_is_not_swapped_in(live: Live) -> None:
    """A shadow of a range lacks what the ledger has: it is refused, unless the rest is copied from the live table."""
    with live.shadow("part") as pair:
        caught = live.fill(pair, TopicRange(partitions=frozenset({0}), end=Offsets(10)))
        assert caught.lacking > 0
        with pytest.raises(Misconfigured, match="--copy-missing"):
            require_all(pair, caught)
        caught = live.fill(pair, TopicRange(partitions=frozenset({0}), end=Offsets(10)), copy_missing=True)
        assert (caught.lacking, caught.copied > 0) == (0, True)
        require_all(pair, caught)
        assert live.totals(pair.shadow) == live.totals()


def test_names_of_shadows_are_checked(live: Live) -> None:
    """A name that cannot be one, and a shadow that is not there."""
    with pytest.raises(Misconfigured, match="cannot name a shadow"):
        database.shadow_settings(live.settings, "Größe; DROP")
    with pytest.raises(Misconfigured, match="there is no shadow nobody"):
        database.open_pair(live.settings, "nobody")
