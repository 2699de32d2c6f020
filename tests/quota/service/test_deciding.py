"""The quota service on the real broker: it decides in the order of the log, and a restart loses nothing."""

from __future__ import annotations

import pytest
from tests.quota.service.world import PARTITIONS, World, facts, reserve, statuses

pytestmark = pytest.mark.integration


def test_reservations_are_decided_in_the_order_of_the_log(world: World) -> None:
    """What fits is granted, what does not is denied with the limit that has no room."""
    with world.service():
        given = world.ask(facts("acme", 100), reserve("acme", 60), reserve("acme", 60), reserve("acme", 40))
    assert statuses(given) == ["granted", "denied", "granted"]
    refused = given[1].refused_by
    assert refused is not None
    assert (refused.level, refused.limit_id, refused.remaining) == ("account/acme", "most", 40)


def test_a_restart_in_the_middle_loses_nothing(world: World) -> None:
    """Holds of the service before count in the next, and a repeated command gets the same answer."""
    first = reserve("acme", 60, "h-first")
    with world.service():
        before = world.ask(facts("acme", 100), first)
    with world.service():
        after = world.ask(reserve("acme", 60), reserve("acme", 60, "h-first"))
    assert statuses(before) == ["granted"]
    assert statuses(after) == ["denied", "granted"]
    assert after[1].expires_at == before[0].expires_at


def test_a_record_that_is_no_command_is_passed_by(world: World) -> None:
    """Poison is counted, decisions go on, and the state ends after it, so that nobody reads it again."""
    world.send(facts("acme", 100))
    for value in (b"{", None, b'{"command": "reserve"}'):
        for partition in range(PARTITIONS):
            world.put(value, partition)
    world.send(reserve("acme", 60, "h-1"))
    told = world.run()
    assert (told.poison, told.unsaved, told.lag) == (12, 0, 0)
    assert told.replies == {"granted": 1}
    again = world.run()
    assert (again.replies, again.poison) == ({}, 0)
