"""`taximeter archive` on the real broker: complete, resumable over kill -9, refused for another log, verified."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from structlog.testing import capture_logs
from tests.conftest import TopicNames
from tests.dlq.conftest import Commands, alone
from tests.sink.records import events, value_of

from taximeter_consumers.archive import manifest as manifests
from taximeter_consumers.archive.reader import ArchiveReader
from taximeter_consumers.replay.topic_range import TopicRange
from taximeter_consumers.replay.topic_reader import TopicReader
from taximeter_infra.stack.waiting import wait_until
from taximeter_infra.topics import ensure_topics
from taximeter_schemas.settings import KafkaSettings

__all__ = ["alone"]
pytestmark = pytest.mark.integration


@pytest.fixture
def taximeter(
    alone: Commands, monkeypatch: pytest.MonkeyPatch, kafka_settings: KafkaSettings, topic_names: TopicNames
) -> Commands:
    """On two partitions with 1,500 events, some markers of transactions and a tombstone."""
    ensure_topics(kafka_settings, topic_names.settings(partitions=2))
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka_settings.bootstrap_servers)
    monkeypatch.setenv("TAXIMETER_TOPIC_EVENTS", topic_names.events)
    produce(kafka_settings, topic_names, 1_500, seed=4)
    return alone


def produce(kafka: KafkaSettings, names: TopicNames, count: int, seed: int) -> None:
    """Events, a third of them in transactions, whose markers take offsets that no reader gets."""
    values = [value_of(event) for event in events(count, seed=seed)]
    producer = Producer({**kafka.client_config(), "transactional.id": names.group})
    producer.init_transactions(30)
    for begin in range(0, len(values), len(values) // 3):
        producer.begin_transaction()
        for number, value in enumerate(values[begin : begin + len(values) // 3]):
            producer.produce(
                names.events, key=f"run-{number}", value=value, headers=[("origin", b"test"), ("no", None)]
            )
        producer.produce(names.events, key="none", value=None)
        assert producer.flush(30) == 0
        producer.commit_transaction(30)


def in_topic(kafka: KafkaSettings, topic: str) -> list[tuple[Any, ...]]:
    """Every message, by place."""
    with closing(TopicReader(kafka, topic)) as reader:
        return sorted(map(told, reader.read(reader.spans(TopicRange()))))


def in_archive(folder: Path) -> list[tuple[Any, ...]]:
    """The same of an archive."""
    reader = ArchiveReader(folder)
    return sorted(map(told, reader.read(reader.spans(TopicRange()))))


def told(message: Any) -> tuple[Any, ...]:
    """All that a message says."""
    return (message.partition(), message.offset(), message.timestamp()[1], message.key(), message.value() or b"-",
            str(message.headers() or []))  # fmt: skip


def test_a_topic_is_archived_over_kills_and_read_back(
    taximeter: Commands, kafka_settings: KafkaSettings, topic_names: TopicNames, tmp_path: Path
) -> None:
    """Killed between a file and its line in the manifest, and after it; gone on with; given again without an effect;
    more is added; the archive reads like the topic, and holds."""
    folder = tmp_path / "archive" / topic_names.events
    words = ("archive", "--to", tmp_path / "archive", "--rows-per-file", 200)
    counted = json.loads(taximeter(*words, "--dry-run", "--json").stdout)
    assert counted["messages"] >= 1_500
    assert not folder.exists()
    for place in ("archive.written@3", "archive.listed@2"):
        assert taximeter.killed_at(place, *words) == -9
    done = taximeter(*words)
    assert (done.exit_code, "messages archived" in done.stdout) == (0, True)
    assert json.loads(taximeter(*words, "--json").stdout)["files"] == 0
    produce(kafka_settings, topic_names, 300, seed=5)
    assert json.loads(taximeter(*words, "--format", "parquet", "--json").stdout)["messages"] == 303
    assert in_archive(folder) == in_topic(kafka_settings, topic_names.events)
    verified = json.loads(taximeter("archive", "verify", tmp_path / "archive", "--deep", "--json").stdout)
    assert (verified["holds"], verified["topics"][0]["messages"]) == (True, 1_806)
    (listed,) = json.loads(taximeter("archive", "list", folder, "--json").stdout)["topics"]
    assert (listed["messages"], [one["gaps"] for one in listed["partitions"]]) == (1_806, [[], []])
    assert f"{topic_names.events}, 1,806 messages" in taximeter("archive", "list", tmp_path / "archive").stdout
    read = taximeter("replay", "--from-archive", folder, "--dry-run", "--skip-bad", "--json")
    assert json.loads(read.stdout)["written"] == 1_800
    fetched = taximeter("archive", "fetch", f"file://{tmp_path}/archive", tmp_path / "copy")
    assert fetched.exit_code == 0
    assert in_archive(tmp_path / "copy" / topic_names.events) == in_archive(folder)


def test_damage_gaps_and_another_log_are_told(
    taximeter: Commands, kafka_settings: KafkaSettings, topic_names: TopicNames, tmp_path: Path
) -> None:
    """A changed file, a missing one, a hole in the range: exit 3. A topic that was made anew: refused."""
    folder = tmp_path / topic_names.events
    assert taximeter("archive", "--to", tmp_path, "--from-offset", "0:0", "--to-offset", "0:100").exit_code == 0
    assert taximeter("archive", "--to", tmp_path, "--from-offset", "0:200", "--to-offset", "0:300").exit_code == 0
    holed = taximeter("archive", "verify", tmp_path)
    assert (holed.exit_code, "offsets 100 to 199 are in no file" in holed.stdout) == (3, True)
    assert taximeter("archive", "--to", tmp_path, "--partition", 0).exit_code == 0
    assert taximeter("archive", "verify", folder).exit_code == 0
    first, second, *_ = manifests.load(folder).parts
    (folder / first.path).write_bytes(b"x")
    (folder / second.path).unlink()
    (folder / "left.avro").write_bytes(b"x")
    damaged = json.loads(taximeter("archive", "verify", tmp_path, "--json").stdout)["topics"][0]["faults"]
    assert [fault["weight"] for fault in damaged] == ["damage", "damage", "note"]
    admin = AdminClient(kafka_settings.client_config())
    admin.delete_topics([topic_names.events])[topic_names.events].result(30)
    assert wait_until(lambda: topic_names.events not in admin.list_topics(timeout=10).topics, 30)
    ensure_topics(kafka_settings, topic_names.settings(partitions=2))
    produce(kafka_settings, topic_names, 900, seed=6)
    refused = taximeter("archive", "--to", tmp_path)
    assert (refused.exit_code, "another" in refused.stderr) == (1, True)


def test_what_kafka_deleted_before_it_was_archived_is_told(
    taximeter: Commands,
    kafka_settings: KafkaSettings,
    topic_names: TopicNames,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the command, by its --dry-run, and by the service in its log; not of a partition that nobody asked for."""
    for partition in (0, 1):
        words = ("--partition", partition, "--to-offset", f"{partition}:50")
        assert taximeter("archive", "--to", tmp_path, *words).stderr == ""
    begin = TopicPartition(topic_names.events, 1, 80)
    admin = AdminClient(kafka_settings.client_config())
    admin.delete_records([begin])[begin].result(30)
    gone = "of partition 1 offsets 50 to 79 are gone"
    assert gone in taximeter("archive", "--to", tmp_path, "--dry-run").stderr
    assert "gone" not in taximeter("archive", "--to", tmp_path, "--partition", 0).stderr
    stop = threading.Event()
    stop.set()
    monkeypatch.setattr("taximeter_infra.logs.configure_logs", lambda: None)
    monkeypatch.setattr("taximeter_infra.signals.stop_on_signals", lambda: stop)
    with capture_logs() as lines:
        assert taximeter("archive", "--to", tmp_path, "--follow").exit_code == 0
    assert [(line["partition"], line["first"], line["last"]) for line in lines if "retention" in line["event"]] == [
        (1, 50, 79)
    ]
    assert gone in taximeter("archive", "--to", tmp_path).stderr
    assert "gone" not in taximeter("archive", "--to", tmp_path).stderr
    assert taximeter("archive", "verify", tmp_path).exit_code == 3


def test_a_service_archives_full_files_and_ends_in_order(
    taximeter: Commands, kafka_settings: KafkaSettings, topic_names: TopicNames, tmp_path: Path
) -> None:
    """Of the current hour only full files; a second writer is kept out meanwhile; SIGTERM ends it with 0."""
    folder = tmp_path / topic_names.events
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    script = "from taximeter_infra.cli.app import main; main()"
    command = [sys.executable, "-c", script, "archive", "--follow", "--rows-per-file", "100", "--to", str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as service:
        assert wait_until(lambda: (folder / manifests.NAME).exists() or service.poll() is not None, 60)
        second = taximeter("archive", "--to", tmp_path)
        assert (second.exit_code, "another process archives" in second.stderr) == (1, True)
        service.send_signal(signal.SIGTERM)
        assert service.wait(60) == 0
    rows = [part.rows for part in manifests.load(folder).parts]
    assert rows
    assert max(rows) == 100
    everything, kept = in_topic(kafka_settings, topic_names.events), in_archive(folder)
    assert set(kept) < set(everything)
    assert json.loads(taximeter("archive", "--to", tmp_path, "--json").stdout)["messages"] == len(everything) - sum(
        rows
    )
    assert in_archive(folder) == everything


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--to", "x", "--format", "csv"),
        ("--to", "x", "--follow", "--until", "1h"),
        ("--to", "x", "--follow", "--dry-run"),
    ],
)
def test_options_that_make_no_sense_are_refused(alone: Commands, words: tuple[str, ...]) -> None:
    """Before any server is asked."""
    assert alone("archive", *words).exit_code == 2


def test_a_place_that_is_none_is_told(alone: Commands, tmp_path: Path) -> None:
    """Another scheme, and a folder without an archive."""
    assert "no place for an archive" in alone("archive", "list", "ftp://x/y").stderr
    assert "holds no archive" in alone("archive", "verify", tmp_path).stderr
