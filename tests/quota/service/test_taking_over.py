"""Kill -9 of the service, at every place where it hurts: the next one decides the rest, alike, and alerts come once."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from tests.quota.service.world import PARTITIONS, World, facts, reserve, statuses

from taximeter_consumers.failpoints import QUOTA
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.quota.answers import alert_of
from taximeter_schemas.quota.commands import Confirm

pytestmark = pytest.mark.integration

# Answered without a checkpoint, and written without an end: what a successor must decide anew, alike.
QUICK = ("quota.before_commit",)
ACCOUNTS = tuple(f"acct-{number}" for number in range(8))


def settle(world: World, account: str, number: int) -> list[object]:
    """A hold of 10 of 100 tokens, which used all of it."""
    hold_id = f"{account}-{number}"
    held = reserve(account, 10, hold_id)
    done = Confirm(
        command_id=f"done-{hold_id}", caller="test", answer_to=0, root=f"account/{account}", hold_id=hold_id,
        actual=held.amounts,
    )  # fmt: skip
    return [held, done]


def alerts(world: World) -> list[str]:
    """The ids of all alerts that were ever told."""
    return [alert_of(message.value() or b"").alert_id for message in world.records(world.topics.alerts, 3)]


@pytest.mark.parametrize(
    "point", [point if point in QUICK else pytest.param(point, marks=pytest.mark.long) for point in QUOTA]
)
def test_a_kill_anywhere_loses_nothing_and_decides_nothing_twice(world: World, point: str) -> None:
    """Every command is answered, repeated answers are equal, the limit holds to the last token, alerts come once."""
    commands = [facts(account, 100) for account in ACCOUNTS]
    commands += [command for number in range(12) for account in ACCOUNTS for command in settle(world, account, number)]
    ids = [command.command_id for command in commands[len(ACCOUNTS) :]]
    world.send(*commands[:40])
    # A slow machine may have it all in one checkpoint: so it is told more, which changes nothing, until it is dead.
    nth = 1 if point == "quota.restored" else 3
    with world.process(TAXIMETER_FAILPOINT=f"{point}@{nth}") as victim:
        assert victim.stderr is not None
        next(line for line in victim.stderr if b"partition taken over" in line or point == "quota.restored")
        world.send(*commands[40:])

        def is_dead() -> bool:
            world.send(facts(ACCOUNTS[0], 100, as_of=1))
            return victim.poll() is not None

        assert wait_until(is_dead, 120)
        assert victim.wait() == -9
    world.run()
    world.wait_for(ids)
    answers = world.all_answers()
    assert {one for one, given in answers.items() if len(set(map(repr, given))) > 1} == set()
    granted = Counter(one.status.value for given in answers.values() for one in given[:1])
    assert granted == {"granted": 80, "denied": 16, "settled": 80, "unknown_hold": 16}
    told = alerts(world)
    assert len(told) == len(set(told)) == 4 * len(ACCOUNTS)


def test_two_services_share_the_partitions_and_one_takes_over(world: World) -> None:
    """Both decide; after kill -9 of one the other decides all, with the holds that the dead one granted."""
    first = [reserve(account, 60, f"first-{account}") for account in ACCOUNTS]
    with world.service() as _, world.process() as other:
        world.ask(*(facts(account, 100) for account in ACCOUNTS), *first)
        assert other.stderr is not None
        shared = next(line for line in other.stderr if b"partition taken over" in line)
        assert json.loads(shared)["partition"] in range(PARTITIONS)
        assert statuses(world.ask(*(reserve(account, 30) for account in ACCOUNTS))) == ["granted"] * len(ACCOUNTS)
        other.kill()
        assert statuses(world.ask(*(reserve(account, 20) for account in ACCOUNTS))) == ["denied"] * len(ACCOUNTS)
        assert statuses(world.ask(*first)) == ["granted"] * len(ACCOUNTS)


def test_a_service_that_is_told_to_stop_leaves_in_order(world: World) -> None:
    """SIGTERM: the last checkpoint is written, the group is left, and the exit code is 0."""
    with world.process("--json") as service:
        world.ask(facts("acme", 100), reserve("acme", 60))
        service.terminate()
        said, _ = service.communicate(timeout=60)
        assert service.returncode == 0
    told = json.loads(said)
    assert (told["unsaved"], told["holds"], told["replies"]) == (0, 1, {"granted": 1})
    assert world.run().replies == {}


def test_a_checkpoint_of_one_who_was_put_out_changes_nothing(world: World) -> None:
    """A process that slept past its session is fenced: what it decided alone is decided anew, and it joins again."""
    with world.process() as sleeper:
        world.ask(facts("acme", 100), reserve("acme", 60, "h-1"))
        sleeper.send_signal(19)
        world.send(reserve("acme", 30, "h-2"))
        with world.service():
            assert statuses(world.ask(reserve("acme", 20, "h-3"))) == ["denied"]
            sleeper.send_signal(18)
            assert sleeper.stderr is not None
            assert any(b"partitions lost" in line or b"joining the group anew" in line for line in sleeper.stderr)
            assert statuses(world.ask(reserve("acme", 10, "h-4"))) == ["granted"]
    assert wait_until(lambda: world.run().unsaved == 0, 30)
    answers = world.all_answers()
    assert {one for one, given in answers.items() if len({repr(answer) for answer in given}) > 1} == set()
