"""The audit on the real broker and the real ClickHouse: a clean run holds, and every kind of damage is told."""

from __future__ import annotations

import json

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from tests.audit.conftest import Audited
from tests.sink.records import BAD, events, value_of
from typer.testing import CliRunner

from taximeter_consumers.audit import IngestReport, Severity
from taximeter_consumers.sink.log_identity import LogIdentity
from taximeter_infra.cli.app import app
from taximeter_infra.stack.waiting import wait_until
from taximeter_infra.topics import ensure_topics
from taximeter_schemas.errors import Misconfigured

pytestmark = pytest.mark.integration


def kinds(report: IngestReport, *, notes: bool = False) -> set[str]:
    """The kinds of findings; without notes those that keep the audit from holding."""
    found = [*report.findings, *(finding for part in report.partitions for finding in part.findings)]
    return {finding.kind for finding in found if notes or finding.severity is not Severity.NOTE}


def total(report: IngestReport, name: str) -> int:
    """A sum over all partitions."""
    return sum(getattr(part, name) for part in report.partitions)


def fill(pipeline: Audited, count: int, seed: int, batch_rows: int = 100) -> None:
    """Events on the topic, stored by a sink in batches of this size."""
    pipeline.produce([value_of(event) for event in events(count, seed=seed)])
    pipeline.run(pipeline.settings(batch_rows=batch_rows))


def test_a_clean_run_holds(pipeline: Audited) -> None:
    """Tiled from 0 to the end, everything stored once, every hash and every record verified with --deep."""
    fill(pipeline, 1_500, seed=1)
    for deep in (False, True):
        report = pipeline.audit(deep=deep)
        assert kinds(report) == set()
        assert report.holds
        assert (total(report, "consumed"), total(report, "stored"), total(report, "duplicates")) == (1_500, 1_500, 0)
        assert all((part.tiled_from, part.tiled_to) == (0, part.log_end) for part in report.partitions)
        assert total(report, "in_flight") == 0
    assert "content_verified" in kinds(report, notes=True)


def test_what_is_not_committed_is_in_flight(pipeline: Audited) -> None:
    """Records that no sink has stored yet are neither lost nor a gap."""
    fill(pipeline, 300, seed=2)
    pipeline.produce([value_of(event) for event in events(200, seed=3)])
    report = pipeline.audit()
    assert report.holds
    assert (total(report, "consumed"), total(report, "in_flight")) == (300, 200)


def test_a_ledger_row_that_is_missing_is_a_gap(pipeline: Audited) -> None:
    """Its records are found stored, so nothing is lost; without their rows they are lost, and named."""
    fill(pipeline, 1_000, seed=4)
    first, last = pipeline.clickhouse.rows(
        "SELECT first_offset, last_offset FROM ingest_batches WHERE kafka_partition = 0"
        " ORDER BY first_offset LIMIT 1, 1"
    )[0]
    pipeline.mutate("stored_ingest_batches", f"DELETE WHERE kafka_partition = 0 AND first_offset = {first}")
    report = pipeline.audit()
    assert kinds(report) == {"gap_stored"}
    finding = next(finding for finding in report.partitions[0].findings if finding.kind == "gap_stored")
    assert (finding.first, finding.last, finding.count) == (first, last, last - first + 1)
    pipeline.mutate("stored_events", f"DELETE WHERE kafka_partition = 0 AND kafka_offset BETWEEN {first} AND {last}")
    report = pipeline.audit()
    assert kinds(report) == {"gap_lost"}
    assert (total(report, "lost_in_gaps"), total(report, "lost")) == (last - first + 1, 0)


def test_rows_that_are_missing_are_lost_until_they_are_brought_in_again(pipeline: Audited) -> None:
    """They are counted and named by offset; after a replay of them nothing is lost, and they count as duplicates."""
    fill(pipeline, 1_000, seed=5)
    gone = "kafka_partition = 1 AND kafka_offset IN (7, 8, 120)"
    assert pipeline.clickhouse.scalar(f"SELECT count() FROM stored_events WHERE {gone}") == 3
    pipeline.mutate("stored_events", f"DELETE WHERE {gone}")
    for deep in (False, True):
        report = pipeline.audit(deep=deep)
        assert kinds(report) == {"rows_lost"}
        assert (total(report, "lost"), total(report, "stored"), total(report, "unproven")) == (3, 997, 0)
    assert "7, 8, 120" in report.partitions[1].findings[0].text

    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": pipeline.kafka.bootstrap_servers,
        "TAXIMETER_TOPIC_EVENTS": pipeline.topics.events,
    }
    for first, end in ((7, 9), (120, 121)):
        words = ["replay", "--partition", "1", "--from-offset", str(first), "--to-offset", str(end)]
        done = CliRunner().invoke(app, [*words, "--to-topic", pipeline.topics.events], env=environment)
        assert done.exit_code == 0, done.output
    pipeline.run()
    report = pipeline.audit(deep=True)
    assert kinds(report) == set()
    assert (total(report, "consumed"), total(report, "stored"), total(report, "duplicates")) == (1_003, 1_000, 3)


def test_a_group_that_is_set_back_overlaps_and_loses_nothing(pipeline: Audited) -> None:
    """Another cut of the same records is told as overlaps; merged or not, they count as duplicates."""
    fill(pipeline, 600, seed=6, batch_rows=100)
    again = Audited(
        pipeline.kafka, pipeline.clickhouse_settings, pipeline.topics, f"{pipeline.group}.again", pipeline.clickhouse
    )
    again.run(again.settings(batch_rows=70))
    for merged in (False, True):
        if merged:
            pipeline.clickhouse.execute("OPTIMIZE TABLE stored_events FINAL")
        for deep in (False, True):
            report = pipeline.audit(deep=deep)
            assert kinds(report) == {"overlap"}
            assert not report.holds
            assert (total(report, "lost"), total(report, "unproven")) == (0, 0)
            assert (total(report, "consumed"), total(report, "stored"), total(report, "duplicates")) == (
                1_200,
                600,
                600,
            )
    pipeline.mutate("stored_events", "DELETE WHERE kafka_partition = 0 AND kafka_offset = 5")
    report = pipeline.audit()
    assert kinds(report) == {"overlap", "rows_lost"}
    assert total(report, "lost") == 1


def test_events_that_were_sent_twice_are_duplicates(pipeline: Audited) -> None:
    """Copies under other offsets count as duplicates before storage merges them and after."""
    made = [value_of(event) for event in events(400, seed=7)]
    pipeline.produce([*made, *made[:50], *made[:50]])
    pipeline.run(pipeline.settings(batch_rows=90))
    for merged in (False, True):
        if merged:
            pipeline.clickhouse.execute("OPTIMIZE TABLE stored_events FINAL")
            assert pipeline.physical_rows() == 400
        report = pipeline.audit()
        assert kinds(report) == set()
        assert (total(report, "consumed"), total(report, "stored"), total(report, "duplicates")) == (500, 400, 100)


def test_dead_letters_count_once(pipeline: Audited) -> None:
    """Each by the coordinates of its record, however often it was written; one that is missing is lost."""
    made = [value_of(event) for event in events(300, seed=8)]
    bad = [BAD[name][1](made[0]) for name in ("garbage", "cut", "nothing")]
    pipeline.produce([*made[:150], *bad, *made[150:]])
    pipeline.run()
    # What a crash between the letters and the commit does: they are written again.
    again = Audited(
        pipeline.kafka, pipeline.clickhouse_settings, pipeline.topics, f"{pipeline.group}.again", pipeline.clickhouse
    )
    again.run()
    assert len(pipeline.dead_letters()) == 6
    for deep in (False, True):
        report = pipeline.audit(deep=deep)
        assert kinds(report) <= {"overlap"}
        assert (total(report, "stored"), total(report, "lost"), total(report, "unproven")) == (300, 0, 0)
    pipeline.mutate("stored_ingest_batches", "UPDATE dead_lettered = dead_lettered + 1 WHERE dead_lettered > 0")
    assert {"letters_lost", "ledger_sums"} <= kinds(pipeline.audit())


def test_markers_of_transactions_are_no_gap(pipeline: Audited) -> None:
    """Offsets that hold no record for a reader, between batches and within them, are told apart from lost ones."""
    made = [value_of(event) for event in events(60, seed=9)]
    pipeline.produce_in_transactions(made, each=10, aborted=2)
    pipeline.run(pipeline.settings(batch_rows=10))
    for deep in (False, True):
        report = pipeline.audit(deep=deep)
        assert kinds(report) == set()
        assert "gap_without_records" in kinds(report, notes=True)
        assert (total(report, "consumed"), total(report, "stored")) == (40, 40)


def test_what_retention_has_deleted_cannot_be_checked(pipeline: Audited) -> None:
    """A gap below the log's beginning is not fine; `in_log` leaves it out."""
    fill(pipeline, 800, seed=10)
    low = pipeline.clickhouse.scalar(
        "SELECT first_offset FROM ingest_batches WHERE kafka_partition = 0 ORDER BY first_offset LIMIT 2, 1"
    )
    admin = AdminClient({**pipeline.kafka.client_config()})
    place = TopicPartition(pipeline.topics.events, 0, low)
    admin.delete_records([place])[place].result(30)
    assert pipeline.audit(deep=True).holds
    pipeline.mutate("stored_ingest_batches", "DELETE WHERE kafka_partition = 0 AND first_offset = 0")
    pipeline.mutate("stored_events", "DELETE WHERE kafka_partition = 0 AND kafka_offset = 150")
    report = pipeline.audit()
    assert kinds(report) == {"gap_gone", "rows_unproven"}
    assert (total(report, "lost"), total(report, "unproven")) == (0, 1)
    assert pipeline.audit(in_log=True).holds


def test_a_topic_made_anew_is_told(pipeline: Audited) -> None:
    """Before a sink reads it, and after: the new log is proved by itself, and the old one is named."""
    fill(pipeline, 500, seed=11)
    admin = AdminClient({**pipeline.kafka.client_config()})
    admin.delete_topics([pipeline.topics.events])[pipeline.topics.events].result(30)
    assert wait_until(lambda: pipeline.topics.events not in admin.list_topics(timeout=10).topics, 30)
    with pytest.raises(Misconfigured, match="does not exist"):
        pipeline.audit()
    ensure_topics(pipeline.kafka, pipeline.topics)
    pipeline.produce([value_of(event) for event in events(700, seed=13)])
    with pytest.raises(Misconfigured, match="made anew, and 6 batches"):
        pipeline.audit()
    pipeline.run()
    report = pipeline.audit()
    assert (report.holds, "earlier_log" in kinds(report, notes=True)) == (True, True)
    assert total(report, "stored") == 700


def test_a_log_without_an_identity_is_told_by_its_times(pipeline: Audited) -> None:
    """Some brokers give topics none: then batches behind the log's end, and times that do not agree, say the same."""
    fill(pipeline, 500, seed=11)
    admin = AdminClient({**pipeline.kafka.client_config()})
    admin.delete_topics([pipeline.topics.events])[pipeline.topics.events].result(30)
    assert wait_until(lambda: pipeline.topics.events not in admin.list_topics(timeout=10).topics, 30)
    ensure_topics(pipeline.kafka, pipeline.topics)
    pipeline.produce([value_of(event) for event in events(100, seed=12)])
    identity = LogIdentity(pipeline.kafka, pipeline.topics.events, seen=False).log
    pipeline.mutate("stored_ingest_batches", f"UPDATE kafka_log = '{identity}' WHERE 1")
    assert "beyond_log_end" in kinds(pipeline.audit())
    pipeline.produce([value_of(event) for event in events(700, seed=13)])
    assert "another_log" in kinds(pipeline.audit())


def test_a_wrong_group_or_database_proves_nothing(pipeline: Audited) -> None:
    """With an empty ledger there is nothing to audit; with a filled one the end is in doubt."""
    pipeline.produce([value_of(event) for event in events(50, seed=14)])
    with pytest.raises(Misconfigured, match="nothing to audit"):
        pipeline.audit()
    pipeline.run()
    assert pipeline.audit().holds
    pipeline.produce([value_of(event) for event in events(50, seed=15)])
    assert kinds(pipeline.audit(group="nobody")) == {"nothing_committed"}


def test_the_command_says_it_and_exits_by_it(pipeline: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 and a line that it holds; 3 and LOST; one JSON object with --json; 0 too where nothing was ever sent."""
    for name, value in {
        "KAFKA_BOOTSTRAP_SERVERS": pipeline.kafka.bootstrap_servers,
        "CLICKHOUSE_URL": pipeline.clickhouse_settings.url.get_secret_value(),
        "CLICKHOUSE_DATABASE": pipeline.clickhouse_settings.database,
        "TAXIMETER_TOPIC_EVENTS": pipeline.topics.events,
        "TAXIMETER_TOPIC_DEAD_LETTERS": pipeline.topics.dead_letters,
        "TAXIMETER_SINK_GROUP_ID": pipeline.group,
    }.items():
        monkeypatch.setenv(name, value)
    runner = CliRunner()
    assert runner.invoke(app, ["audit"]).exit_code == 0
    fill(pipeline, 300, seed=16)
    held = runner.invoke(app, ["audit", "--ingest"])
    assert held.exit_code == 0, held.output
    assert "consumed 300 = stored 300 + duplicates 0 + dead letters 0" in held.stdout
    assert held.stdout.splitlines()[-1].startswith("holds")
    pipeline.mutate("stored_events", "DELETE WHERE kafka_partition = 0 AND kafka_offset = 0")
    lost = runner.invoke(app, ["audit", "--ingest", "--json"])
    assert lost.exit_code == 3
    said = json.loads(lost.stdout)
    assert (said["holds"], said["totals"]["lost"], said["totals"]["consumed"]) == (False, 1, 300)
    assert [part["partition"] for part in said["partitions"]] == [0, 1]
    assert runner.invoke(app, ["audit", "--ingest", "--partition", "1"]).exit_code == 0
    assert "LOST" in runner.invoke(app, ["audit", "--ingest", "--partition", "0"]).stdout
    assert runner.invoke(app, ["audit", "--ingest", "--partition", "7"]).exit_code == 1
