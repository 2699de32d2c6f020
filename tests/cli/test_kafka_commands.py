"""`topics`, `simulate`, `replay` and `tail` against a real broker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka import Producer
from tests.cli.conftest import Taximeter
from tests.conftest import TopicNames

from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.settings import KafkaSettings

pytestmark = pytest.mark.integration


def test_topics_are_created_once(taximeter: Taximeter, on_kafka: TopicNames) -> None:
    """Missing, created, there: with arrival stamps, so that old-dated events are not deleted early."""
    assert taximeter("topics", "describe").exit_code == 1
    first = json.loads(taximeter("topics", "create", "--json").stdout)
    of_quotas = [on_kafka.commands, on_kafka.answers, on_kafka.state, on_kafka.alerts]
    assert first == {"created": [on_kafka.events, on_kafka.dead_letters, *of_quotas], "existing": [], "refused": {}}
    second = json.loads(taximeter("topics", "create", "--json").stdout)
    assert second["existing"] == first["created"]
    described = json.loads(taximeter("topics", "describe", "--json").stdout)["topics"]
    assert [(topic["name"], topic["partitions"], topic["records"]) for topic in described] == [
        (on_kafka.events, 2, 0),
        (on_kafka.dead_letters, 3, 0),
        (on_kafka.commands, 2, 0),
        (on_kafka.answers, 2, 0),
        (on_kafka.state, 2, 0),
        (on_kafka.alerts, 3, 0),
    ]
    assert {topic["timestamp_type"] for topic in described} == {"LogAppendTime"}
    assert [topic["name"] for topic in described if topic["cleanup_policy"] == "compact"] == [on_kafka.state]
    assert f"{on_kafka.state}: 2 partitions, 0 records, LogAppendTime, the last of each key is kept" in (
        taximeter("topics", "describe").stdout
    )


_TOLD = ("will set", "set")


def test_topics_are_brought_to_what_is_wanted(
    taximeter: Taximeter, on_kafka: TopicNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--apply lengthens a retention and adds partitions to the events; shorter only where named; never to quotas."""
    taximeter("topics", "create")
    monkeypatch.setenv("TAXIMETER_TOPIC_RETENTION_HOURS", "200")
    monkeypatch.setenv("TAXIMETER_TOPIC_PARTITIONS", "3")
    monkeypatch.setenv("TAXIMETER_TOPIC_QUOTA_PARTITIONS", "5")
    short = taximeter("topics", "describe")
    assert short.exit_code == 1
    assert f"differs: {on_kafka.events} has retention.ms 604800000, not 720000000" in short.stderr
    done = json.loads(taximeter("topics", "create", "--apply", "--json").stdout)
    assert {(one["topic"], one["setting"]) for one in done["applied"]} == {
        (on_kafka.events, "retention.ms"),
        (on_kafka.events, "partitions"),
    }
    assert [one["mend"] for one in done["left"]] == ["set TAXIMETER_TOPIC_QUOTA_PARTITIONS to 2"]
    monkeypatch.setenv("TAXIMETER_TOPIC_RETENTION_HOURS", "96")
    monkeypatch.setenv("TAXIMETER_TOPIC_QUOTA_PARTITIONS", "2")
    longer = taximeter("topics", "create", "--apply")
    assert longer.exit_code == 0
    assert "set " not in longer.stdout
    assert f"--yes --shrink {on_kafka.events}" in longer.stdout
    assert "set " not in taximeter("topics", "create", "--apply", "--yes").stdout
    shorter = taximeter("topics", "create", "--apply", "--yes", "--shrink", on_kafka.events).stdout.splitlines()
    told = f"retention.ms of {on_kafka.events} to 345600000"
    will, was = (next(n for n, line in enumerate(shorter) if line.startswith(f"{word} {told}")) for word in _TOLD)
    assert will < was
    assert not any("has retention.ms" in line for line in shorter)
    shown = taximeter("topics", "describe")
    assert f"{on_kafka.events}: 3 partitions, 0 records, LogAppendTime, kept for 4 days, 1 replica" in shown.stdout
    assert taximeter("topics", "create", "--yes").exit_code == 2
    assert taximeter("topics", "create", "--apply", "--shrink", on_kafka.events).exit_code == 2
    assert taximeter("topics", "create", "--apply", "--yes", "--shrink", "no.such").exit_code == 2


def test_replicas_are_asked_of_the_brokers(taximeter: Taximeter, on_kafka: TopicNames) -> None:
    """More than there are brokers: told with the setting. More in sync than there are replicas: nobody is asked."""
    refused = taximeter("topics", "create", "--replication-factor", 3, "--min-insync-replicas", 2)
    assert refused.exit_code == 1
    assert "TAXIMETER_TOPIC_REPLICATION_FACTOR" in refused.stderr
    closed = taximeter("topics", "create", "--replication-factor", 1, "--min-insync-replicas", 2)
    assert "cannot be in sync" in closed.stderr
    made = taximeter("topics", "create", "--replication-factor", 1, "--min-insync-replicas", 1)
    assert made.exit_code == 0
    # The brokers may need a moment until each partition has a leader.
    assert wait_until(lambda: taximeter("topics", "describe").exit_code == 0, 30)


def test_simulated_events_come_back(taximeter: Taximeter, on_kafka: TopicNames, tmp_path: Path) -> None:
    """Sent, counted independently, replayed as JSON lines, into a file and into another topic."""
    missing = taximeter("simulate", "--events", 10)
    assert missing.exit_code == 1
    assert "taximeter topics create" in missing.stderr
    taximeter("topics", "create")
    sent = json.loads(taximeter("simulate", "--events", 800, "--seed", 9, "--runs", 40, "--json").stdout)
    assert (sent["produced"], sent["acknowledged"], sent["unacknowledged"]) == (800, 800, 0)
    expected = json.loads(taximeter("simulate", "--events", 800, "--seed", 9, "--runs", 40, "--expect").stdout)
    assert (expected["rows"], expected["runs"]) == (800, 40)
    lines = [json.loads(line) for line in taximeter("replay").stdout.splitlines()]
    assert len({line["event_id"] for line in lines}) == 800
    assert sum(line["ai"]["input_tokens"] for line in lines if "ai" in line) == expected["input_tokens"]
    account = expected["by_account"][0]
    mine = taximeter("replay", "--account", account["account_id"]).stdout.splitlines()
    assert len(mine) == account["events"]
    to_file = json.loads(taximeter("replay", "--to-file", tmp_path / "events.avro", "--json").stdout)
    assert to_file == {"read": 800, "written": 800, "undecodable": []}
    copied = taximeter("replay", "--to-topic", on_kafka.dead_letters)
    assert "800 written" in copied.stdout
    assert "800 messages read" in taximeter("replay", "--topic", on_kafka.dead_letters, "--dry-run").stdout


def test_undecodable_messages_are_exit_3(
    taximeter: Taximeter, on_kafka: TopicNames, kafka_settings: KafkaSettings
) -> None:
    """They are named on standard error with their coordinates; --skip-bad makes it 0."""
    taximeter("topics", "create")
    taximeter("simulate", "--events", 20)
    producer = Producer({**kafka_settings.client_config()})
    producer.produce(on_kafka.events, value=b"garbage", partition=1)
    assert producer.flush(30) == 0
    result = taximeter("replay")
    assert result.exit_code == 3
    assert len(result.stdout.splitlines()) == 20
    assert f"{on_kafka.events} 1:" in result.stderr
    assert "not_framed" in result.stderr
    assert taximeter("replay", "--skip-bad").exit_code == 0
    assert taximeter("tail", "--from-beginning", "--limit", 20).exit_code == 0


def test_tail_shows_a_line_per_event(taximeter: Taximeter, on_kafka: TopicNames) -> None:
    """For people and as JSON, filtered, and no more than asked for."""
    taximeter("topics", "create")
    taximeter("simulate", "--events", 50, "--accounts", 2)
    result = taximeter("tail", "--from-beginning", "--limit", 7)
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 7
    filtered = taximeter("tail", "--from-beginning", "--limit", 3, "--json", "--account", "acct-001").stdout
    assert {json.loads(line)["account_id"] for line in filtered.splitlines()} == {"acct-001"}


def test_ctrl_c_ends_tail_with_0(taximeter: Taximeter, on_kafka: TopicNames) -> None:
    """The end of a look at the stream is no failure."""
    taximeter("topics", "create")
    taximeter("simulate", "--events", 5)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}
    script = "from taximeter_infra.cli.app import main; main()"
    command = [sys.executable, "-c", script, "tail", "--from-beginning"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tail:
        assert tail.stdout is not None
        assert tail.stderr is not None
        for _ in range(5):
            assert tail.stdout.readline()
        tail.send_signal(signal.SIGINT)
        assert tail.wait() == 0
        assert tail.stderr.read() == b""
