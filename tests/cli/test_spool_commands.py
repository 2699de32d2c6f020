"""`spool status` and `spool drain`, as an operator calls them on a machine whose executors are gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from tests.cli.conftest import Taximeter
from tests.conftest import TopicNames

from taximeter.faults import Faults
from taximeter.spool import Spool, SpoolSettings
from taximeter_schemas.settings import KafkaSettings


@pytest.fixture
def directory(alone: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The spool's directory, named by the environment."""
    path = tmp_path / "spool"
    monkeypatch.setenv("TAXIMETER_METER_SPOOL_DIR", str(path))
    return path


@pytest.fixture
def spool(directory: Path) -> Spool:
    """An executor's spool of small segments with a thousand events; it has ended."""
    spool = Spool(SpoolSettings(directory, segment_bytes=20_000), Faults())
    assert spool.append([(f"run-{n % 7}".encode(), f"event {n}".encode() * 5) for n in range(1_000)]) == 1_000
    spool.seal()
    return spool


def test_the_directory_must_be_named_and_there(taximeter: Taximeter, tmp_path: Path) -> None:
    """Neither command guesses, and neither makes a directory."""
    for command in ("status", "drain"):
        unnamed = taximeter("spool", command)
        assert unnamed.exit_code == 1
        assert "TAXIMETER_METER_SPOOL_DIR" in unnamed.stderr
        missing = taximeter("spool", command, "--dir", tmp_path / "none")
        assert missing.exit_code == 1
        assert "there is no spool directory" in missing.stderr
    assert not (tmp_path / "none").exists()


def test_the_status_counts_what_waits(taximeter: Taximeter, spool: Spool, directory: Path) -> None:
    """For people and as JSON; what a living process holds is told apart."""
    shown = taximeter("spool", "status")
    assert shown.exit_code == 0
    assert "1,000 events in " in shown.stdout
    assert "min ago" in shown.stdout
    spool.append([(b"k", b"v")])
    told = json.loads(taximeter("spool", "status", "--json").stdout)
    assert (told["records"], told["living"], told["living_records"], told["corrupt_files"]) == (1_001, 1, 1, 0)
    assert told["waiting_bytes"] == sum(path.stat().st_size for path in directory.iterdir())
    assert "held by living processes" in taximeter("spool", "status").stdout
    spool.close()


def test_damage_is_exit_3(taximeter: Taximeter, directory: Path) -> None:
    """An empty spool is no trouble; a file that was set aside is."""
    directory.mkdir(mode=0o700)
    empty = taximeter("spool", "status")
    assert (empty.exit_code, empty.stdout) == (0, f"{directory}: nothing waits\n")
    (directory / "1.corrupt").write_bytes(b"x" * 9)
    damaged = taximeter("spool", "status")
    assert damaged.exit_code == 3
    assert "1 file with 9 bytes" in damaged.stderr


def test_a_directory_of_others_is_refused(taximeter: Taximeter, directory: Path) -> None:
    """With the mend, in two lines."""
    directory.mkdir()
    directory.chmod(0o777)
    refused = taximeter("spool", "status")
    assert refused.exit_code == 1
    assert f"mend: chmod 700 {directory}" in refused.stderr


def test_without_a_broker_nothing_is_touched(
    taximeter: Taximeter, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command says where it knocked, and what waits still waits."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    refused = taximeter("spool", "drain")
    assert refused.exit_code == 1
    assert "nobody listens at 127.0.0.1:1" in refused.stderr
    assert spool.status().records == 1_000


def messages(kafka: KafkaSettings, topic: str, count: int) -> list[tuple[bytes, bytes]]:
    """Keys and values in the topic; fails if fewer come."""
    consumer = Consumer(kafka.client_config() | {"group.id": topic, "enable.auto.commit": "false"})
    try:
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(2)])
        found = []
        while len(found) < count:
            message = consumer.poll(30)
            assert message is not None
            assert message.error() is None
            found.append((message.key() or b"", message.value() or b""))
        return found
    finally:
        consumer.close()


@pytest.mark.integration
def test_drained_events_are_in_kafka_and_no_longer_here(
    taximeter: Taximeter, on_kafka: TopicNames, kafka_settings: KafkaSettings, spool: Spool
) -> None:
    """Key and value as they were spooled. A living process's segment is left to it, and said."""
    taximeter("topics", "create")
    spool.append([(b"k", b"still mine")])
    drained = taximeter("spool", "drain")
    assert drained.exit_code == 0, drained.stderr
    assert "sent 1,000 events" in drained.stdout
    assert "1 segment with 1 event held by living processes: left to them" in drained.stdout
    found = messages(kafka_settings, on_kafka.events, 1_000)
    assert set(found) == {(f"run-{n % 7}".encode(), f"event {n}".encode() * 5) for n in range(1_000)}
    spool.close()
    told = json.loads(taximeter("spool", "drain", "--json").stdout)
    assert (told["drained"]["acknowledged"], told["left"]["segments"]) == (1, 0)
    assert (b"k", b"still mine") in messages(kafka_settings, on_kafka.events, 1_001)


@pytest.mark.integration
def test_what_cannot_be_delivered_stays(
    taximeter: Taximeter, on_kafka: TopicNames, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the topic nothing is acknowledged: exit 1, with how much is left and why."""
    monkeypatch.setenv("KAFKA_OPTIONS", '{"allow.auto.create.topics": "false", "message.timeout.ms": "1000"}')
    left = taximeter("spool", "drain", "--timeout", 3)
    assert left.exit_code == 1
    assert "1,000 events in" in left.stderr
    assert "are left: Kafka says" in left.stderr
    assert spool.status().records == 1_000
    assert spool.status().living == 0


@pytest.mark.integration
def test_ctrl_c_ends_it_cleanly(
    taximeter: Taximeter, on_kafka: TopicNames, spool: Spool, directory: Path, tmp_path: Path
) -> None:
    """It says what is left, exit 1; nothing stays locked and nothing is lost."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        # Nothing is delivered while it lingers, so the command is surely at work when it is interrupted.
        "KAFKA_OPTIONS": '{"linger.ms": "60000", "message.timeout.ms": "120000", "batch.num.messages": "100000"}',
    }
    taximeter("topics", "create")
    command = [sys.executable, "-m", "taximeter_infra", "spool", "drain"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        while spool.status().living == 0:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1
    assert "are left: it was interrupted" in said
    assert "Traceback" not in said
    assert (spool.status().records, spool.status().living) == (1_000, 0)
