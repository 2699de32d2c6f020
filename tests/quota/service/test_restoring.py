"""Taking a partition over: state and offset must agree, and where they cannot, the message says what is wrong."""

from __future__ import annotations

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient
from structlog.testing import capture_logs
from tests.quota.service.world import PARTITIONS, World, facts, reserve, statuses

from taximeter_infra.stack.waiting import wait_until
from taximeter_infra.topics import ensure_topics
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.quota.subject import partition_of

pytestmark = pytest.mark.integration

PARTITION = partition_of("account/acme", PARTITIONS)


def decided(world: World) -> AdminClient:
    """A few commands in one partition, decided and saved; the admin client to break things with."""
    world.send(facts("acme", 100), reserve("acme", 60))
    world.run()
    return AdminClient({**world.kafka.client_config()})


def set_offset(world: World, admin: AdminClient, offset: int) -> None:
    """As an operator's tool does it."""
    place = TopicPartition(world.topics.quota_commands, PARTITION, offset)
    asked = [ConsumerGroupTopicPartitions(world.group, [place])]
    admin.alter_consumer_group_offsets(asked)[world.group].result()


def test_an_offset_that_somebody_moved_is_refused(world: World) -> None:
    """Commands would be skipped or the state would not fit: the message names the offset to set it back to."""
    set_offset(world, decided(world), 1)
    with pytest.raises(Misconfigured, match="somebody moved the offset") as refused:
        world.run(restore_timeout_seconds=2)
    assert f"--to-offset 2 --group {world.group}" in refused.value.mend


def test_a_group_without_offsets_goes_on_where_the_state_ends(world: World) -> None:
    """Offsets of a group that was long away expire; its state does not, and holds still count."""
    admin = decided(world)
    admin.delete_consumer_groups([world.group])[world.group].result()
    with world.service():
        assert statuses(world.ask(reserve("acme", 60), reserve("acme", 40))) == ["denied", "granted"]


def test_a_state_that_was_deleted_is_refused(world: World) -> None:
    """An offset without state: open holds would be forgotten in silence."""
    admin = decided(world)
    state = world.topics.quota_state
    admin.delete_topics([state])[state].result()
    assert wait_until(lambda: state not in admin.list_topics(timeout=10).topics, 30)
    ensure_topics(world.kafka, world.topics)
    with pytest.raises(Misconfigured, match="knows nothing of it") as refused:
        world.run(restore_timeout_seconds=2)
    assert "--delete-offsets" in refused.value.mend


def test_commands_that_were_deleted_before_they_were_read_are_told(world: World) -> None:
    """Retention was faster than the service: it says so loudly, counts them, and goes on."""
    admin = decided(world)
    lost = [reserve("acme", 1) for _ in range(3)]
    world.send(*lost)
    end = TopicPartition(world.topics.quota_commands, PARTITION, -1)
    for answer in admin.delete_records([end]).values():
        answer.result()
    world.send(reserve("acme", 40, "h-later"))
    with capture_logs() as lines:
        told = world.run()
    # What a tick of the first service told lies there as well.
    assert told.missing >= 3
    assert any("COMMANDS ARE MISSING" in line["event"] for line in lines)
    assert told.replies == {"granted": 1}


def test_a_service_waits_while_too_much_has_no_checkpoint(world: World) -> None:
    """The bound on what a crash makes decide again: reading stops, polling goes on, and nothing is lost by it."""
    asked = [reserve("acme", 1) for _ in range(1_200)]
    world.send(facts("acme", 10_000))
    for command in asked:
        world.put_soon(command)
    world.send(facts("other", 1))
    told = world.run(backlog=10, checkpoint_seconds=0.01)
    assert told.waits > 0
    assert told.replies == {"granted": 1_200}


def test_alerts_are_printed_by_the_command(world: World) -> None:
    """`taximeter quota alerts --print`: one JSON line for each alert, nothing for those that were printed before."""
    world.send(facts("acme", 100, used=95))
    world.run()
    for expected in (3, 0):
        with world.process("--print", "--until-caught-up", words=("quota", "alerts")) as command:
            printed, said = command.communicate(timeout=60)
        assert command.returncode == 0
        assert (len(printed.splitlines()), f"{expected} alerts delivered".encode() in said) == (expected, True)
