"""ClickHouse away: who needs facts is told so in bounded time, what is known goes on, and later all is well again."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from pydantic import SecretStr
from tests.quota.service.world import World, facts, reserve, statuses

from taximeter_consumers.quota.service.counters import QuotaCounters
from taximeter_consumers.quota.service.service import run_service
from taximeter_infra.stack.room import free_ports
from taximeter_schemas.quota.commands import Facts, decoded
from taximeter_schemas.settings import ClickHouseSettings

pytestmark = pytest.mark.integration


def nowhere() -> ClickHouseSettings:
    """A ClickHouse that is not there."""
    (port,) = free_ports(1)
    return ClickHouseSettings(url=SecretStr(f"http://127.0.0.1:{port}"))


def test_who_waits_for_facts_is_told_that_there_are_none(world: World) -> None:
    """Reservations of unknown levels are answered UNAVAILABLE; those of known ones are decided as ever."""
    with world.service(nowhere(), facts_timeout_seconds=0.5):
        known = world.ask(facts("known", 100), reserve("known", 60), reserve("known", 60))
        unknown = world.ask(reserve("unknown", 1), reserve("unknown", 2))
    assert statuses(known) == ["granted", "denied"]
    assert statuses(unknown) == ["unavailable", "unavailable"]


def test_who_was_told_so_is_served_when_clickhouse_is_back(world: World) -> None:
    """The same reservation, asked again, is granted: an account without limits has none."""
    asked = reserve("later", 1, "h-later")
    with world.service(nowhere(), facts_timeout_seconds=0.5):
        assert statuses(world.ask(asked)) == ["unavailable"]
    with world.service():
        assert statuses(world.ask(reserve("later", 1, "h-later"))) == ["granted"]


def test_a_parked_command_is_asked_for_again_after_a_restart(world: World) -> None:
    """Whoever restores the partition finds who waits there, and asks ClickHouse for them."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        nobody = ClickHouseSettings(url=SecretStr(f"http://127.0.0.1:{silent.getsockname()[1]}"))
        with world.service(nobody, facts_timeout_seconds=600.0):
            world.send(reserve("parked", 1, command_id="c-parked"))
            _saved(world, b"parked/account/parked|")
    with world.service():
        assert statuses(world.wait_for(["c-parked"])) == ["granted"]


def test_ticks_tell_how_far_the_events_are_complete(world: World) -> None:
    """Facts of an open hold say until when every event in Kafka is counted: with an empty topic, until now."""
    began = time.time_ns() // 1_000
    with world.service():
        assert statuses(world.ask(reserve("quiet", 1))) == ["granted"]
        found: list[Facts] = []
        end = time.monotonic() + 30
        while not any(one.complete_until > began for one in found) and time.monotonic() < end:
            records = world.records(world.topics.quota_commands, 4)
            found = [one for one in (decoded(m.value() or b"") for m in records) if isinstance(one, Facts)]
    assert any(one.complete_until > began for one in found)


def test_facts_grow_old_over_memberships_until_clickhouse_answers_a_tick(world: World) -> None:
    """A service that never heard from it says how long that is; an answer to one tick ends it."""
    counters = QuotaCounters(answered_at=time.monotonic() - 500)
    stop = threading.Event()
    away = threading.Thread(
        target=run_service, args=(world.environment(nowhere()), world.settings(), stop), kwargs={"counters": counters}
    )
    away.start()
    end = time.monotonic() + 30
    while not counters.memberships and time.monotonic() < end:
        stop.wait(0.05)
    stop.set()
    away.join()
    assert counters.facts_age_seconds >= 500
    run_service(world.environment(), world.settings(), threading.Event(), until_caught_up=True, counters=counters)
    assert counters.memberships == 2
    assert counters.facts_age_seconds < 500


def _saved(world: World, key: bytes) -> None:
    """Waits until the state has a record under a key that begins so."""
    end = time.monotonic() + 30
    while not any((m.key() or b"").startswith(key) for m in world.records(world.topics.quota_state, 4)):
        assert time.monotonic() < end, "the state does not show it"
