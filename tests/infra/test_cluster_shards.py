"""Two shards for real: two embedded servers, the sink in front, an aggregator on each, and the sums that all see.

The embedded engine has neither replication nor ON CLUSTER, so this is the layout without a Keeper: sharding,
Distributed tables and views are those of a cluster, the engines below them are plain.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.conftest import TopicNames
from tests.infra.own_server import OwnServer, own_servers, running

from taximeter_consumers.clickhouse import ClickHouse, connect
from taximeter_consumers.pricing.sync import load_book
from taximeter_consumers.rollups import rollup_lag_seconds, tick
from taximeter_consumers.sink.service import SinkEnvironment, run_sink
from taximeter_consumers.sink.settings import SinkSettings
from taximeter_infra.cluster import ClusterLayout
from taximeter_infra.cluster_migrate import migrate_cluster
from taximeter_infra.simulate.catalogue import list_prices
from taximeter_infra.simulate.expected import expect
from taximeter_infra.simulate.generator import events
from taximeter_infra.simulate.plan import SimulationPlan
from taximeter_infra.simulate.sending import EventSender, Pacing
from taximeter_infra.stack.room import LOOPBACK
from taximeter_infra.topics import ensure_topics
from taximeter_schemas.registry import PackagedRegistry
from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings

pytestmark = pytest.mark.integration

LAYOUT = ClusterLayout("meter", has_keeper=False)
PLAN = SimulationPlan(1_500, seed=8)
FRONT_PROFILE = """
<distributed_foreground_insert>1</distributed_foreground_insert>
<distributed_product_mode>global</distributed_product_mode>
"""


@dataclass(frozen=True)
class Shards:
    """The servers, and the connections: the front through the first one, the shards one each."""

    front_settings: ClickHouseSettings
    front: ClickHouse
    shards: list[ClickHouse]


def remote_servers(servers: list[OwnServer], passwords: list[str]) -> str:
    """The two clusters that the layout names."""
    replicas = [
        f"<replica><host>{LOOPBACK}</host><port>{server.tcp_port}</port>"
        f"<user>taximeter</user><password>{password}</password></replica>"
        for server, password in zip(servers, passwords, strict=True)
    ]
    shards = "".join(f"<shard><internal_replication>true</internal_replication>{one}</shard>" for one in replicas)
    everywhere = f"<shard><internal_replication>false</internal_replication>{''.join(replicas)}</shard>"
    return f"<remote_servers><meter>{shards}</meter><meter_everywhere>{everywhere}</meter_everywhere></remote_servers>"


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shards]:
    """Two migrated servers."""
    from taximeter_infra.stack.clickhouse_files import secret_of

    servers = own_servers(tmp_path_factory.mktemp("shards"), 2)
    for server in servers:
        server.directory.mkdir(parents=True)
    known = remote_servers(servers, [secret_of(server.directory / "password") for server in servers])
    for server in servers:
        server.configured = lambda text: text.replace("</clickhouse>", f"{known}</clickhouse>")
        server.known_users = lambda text: text.replace("<default>", f"<default>{FRONT_PROFILE}", 1)
    with running(servers):
        for server in servers:
            migrate_cluster(ClickHouseSettings(url=server.url()), LAYOUT)
        front_settings = ClickHouseSettings(url=servers[0].url())
        opened = [connect(ClickHouseSettings(url=server.url(), database=LAYOUT.shard_database)) for server in servers]
        front = connect(front_settings)
        yield Shards(front_settings, front, opened)
        for one in (front, *opened):
            one.close()


def test_the_sums_over_shards_are_those_of_the_events(
    shards: Shards, kafka_settings: KafkaSettings, topic_names: TopicNames
) -> None:
    """Events go through one sink to the shard of their account; an aggregator on each shard rolls up its own; the front
    shows each event once, and every account's tokens and money to the last digit. Batches count as rolled up only when
    all shards have them. A second group that stores everything again changes nothing."""
    topics = topic_names.settings()
    ensure_topics(kafka_settings, topics)
    EventSender(kafka_settings, PackagedRegistry(), topics.events).send(events(PLAN), Pacing(), lambda _: None)
    load_book(shards.front)
    environment = SinkEnvironment(kafka_settings, shards.front_settings, PackagedRegistry(), topics)
    for group in ("first", "second"):
        settings = SinkSettings(group_id=f"{topic_names.group}.{group}", session_timeout_ms=6_000)
        run_sink(environment, settings, threading.Event(), until_caught_up=True)
    assert shards.front.scalar("SELECT count() FROM events") == PLAN.events
    homes = [{name for (name,) in one.rows("SELECT DISTINCT account_id FROM stored_events")} for one in shards.shards]
    assert all(homes)
    assert homes[0].isdisjoint(homes[1])
    assert rollup_lag_seconds(shards.front) > 0
    while tick(shards.shards[0]).version is not None:
        pass
    assert rollup_lag_seconds(shards.shards[0]) == 0
    assert rollup_lag_seconds(shards.front) > 0
    while tick(shards.shards[1]).version is not None:
        pass
    assert rollup_lag_seconds(shards.front) == 0
    expected = expect(events(PLAN), list_prices())
    shown = "SELECT account_id, sum(events), sum(total_tokens), sum(cost_usd) FROM {} GROUP BY account_id"
    wanted = {
        name: (tally.events, tally.tokens["total_tokens"], tally.cost_usd)
        for name, tally in expected.by_account.items()
    }
    for view in ("run_costs", "node_costs", "usage_by_subject", "account_days"):
        assert {name: tuple(sums) for name, *sums in shards.front.rows(shown.format(view))} == wanted
    assert shards.front.scalar("SELECT sum(cost_usd) FROM charges") == expected.total.cost_usd


def test_a_repeated_insert_is_dropped_by_each_shard(shards: Shards) -> None:
    """The front hands the deduplication token on: an INSERT over both shards that comes again under its token brings
    no rows to either."""
    copy = """
    INSERT INTO stored_events (account_id, event_id, id_time)
    SELECT concat('account-', toString(number)), toUUID('0190163d-8694-739b-aea5-966c26f8ad91'),
        toDateTime64(0, 3, 'UTC')
    FROM numbers(40)
    """
    rows = "SELECT count() FROM stored_events WHERE startsWith(account_id, 'account-')"
    for _ in range(2):
        shards.front.execute(copy, settings={"insert_deduplicate": 1, "insert_deduplication_token": "again"})
    found = [int(one.scalar(rows)) for one in shards.shards]
    assert sum(found) == 40
    assert all(found)


def test_what_everybody_needs_is_on_every_server(shards: Shards) -> None:
    """A price that is added through the front is known to the aggregators of both shards."""
    load_book(shards.front)
    counts = [one.scalar("SELECT count() FROM stored_prices FINAL") for one in shards.shards]
    assert counts[0] == counts[1] == shards.front.scalar("SELECT count() FROM stored_prices FINAL") > 0


def test_nobody_records_progress_through_the_front(shards: Shards) -> None:
    """An aggregator that was given the wrong database fails, instead of marking batches that shards have yet to do."""
    from taximeter_schemas.errors import TaximeterError

    with pytest.raises(TaximeterError):
        shards.front.execute("INSERT INTO stored_rolled_up_batches SELECT 1, now64(6), 1")


def test_migrating_again_changes_nothing(shards: Shards) -> None:
    """The record is found, and nothing is pending."""
    assert migrate_cluster(shards.front_settings, LAYOUT) == []
    assert migrate_cluster(shards.front_settings, LAYOUT, dry_run=True) == []
    with closing(connect(shards.front_settings)) as front:
        assert front.scalar("SELECT count() FROM stored_migrations") > 0


def test_the_directory_of_a_server_is_its_own(tmp_path: Path) -> None:
    """Two servers of a test never share a directory or a port."""
    first, second = own_servers(tmp_path, 2)
    assert first.directory != second.directory
    assert len({first.http_port, first.tcp_port, second.http_port, second.tcp_port}) == 4
