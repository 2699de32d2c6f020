"""The service and the truth together: plans from ClickHouse decide, and how limits stand is in `quota_state`."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.quota.service.world import World, reserve, statuses

from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.quota.commands import Quote
from taximeter_schemas.quota.subject import Subject

pytestmark = pytest.mark.integration


def assign(world: World, *words: str) -> None:
    """`taximeter quota assign`, as an operator says it."""
    with world.process(*words, words=("quota", "assign"), grouped=False) as command:
        said, wrong = command.communicate(timeout=60)
    assert command.returncode == 0, said + wrong


def test_a_plan_decides_and_its_state_is_shown(world: World) -> None:
    """Hobby is 50,000 tokens a month: what is over is denied; analysts see what is held a tick later."""
    assign(world, "hobby", "--account", "acme")
    with world.service():
        given = world.ask(reserve("acme", 40_000), reserve("acme", 20_000))
        assert statuses(given) == ["granted", "denied"]
        assert given[1].refused_by is not None
        assert (given[1].refused_by.plan_id, given[1].refused_by.remaining) == ("hobby", 10_000)

        def held() -> list[tuple[object, ...]]:
            return world.clickhouse.rows("SELECT held, remaining FROM quota_state WHERE level = 'account/acme'")

        assert wait_until(lambda: held() == [(Decimal(40_000), Decimal(10_000))], 30), held()


def test_a_change_of_plans_reaches_decisions_with_the_next_tick(world: World) -> None:
    """An account without limits gets some: what it holds already counts."""
    with world.service():
        assert statuses(world.ask(reserve("acme", 40_000))) == ["granted"]
        assign(world, "hobby", "--account", "acme")
        assert wait_until(lambda: statuses(world.ask(reserve("acme", 20_000, dry_run=True))) == ["denied"], 30)


def test_who_never_asked_is_shown_and_a_limit_that_was_replaced_is_not_current(world: World) -> None:
    """By the plan alone; after another plan, only the limits of that one."""
    assign(world, "hobby", "--account", "acme")

    def current() -> list[tuple[object, ...]]:
        return world.clickhouse.rows("SELECT plan_id, limit_amount, percent FROM quota_state WHERE is_current")

    with world.service():
        assert wait_until(lambda: current() == [("hobby", 50_000, 0)], 30), current()
        assign(world, "starter", "--account", "acme")
        assert wait_until(lambda: current() == [("starter", 2_500_000, 0)], 30), current()
        assign(world, "none", "--account", "acme")
        assert wait_until(lambda: current() == [], 30), current()
        assign(world, "hobby", "--account", "acme")
        assert wait_until(lambda: current() == [("hobby", 50_000, 0)], 30), current()


def test_a_quote_is_answered_from_history(world: World) -> None:
    """A workflow that never ran: a quotation that rests on nothing, and says so."""
    quote = Quote(
        command_id="quote", caller="test", answer_to=0, subject=Subject(account_id="acme"), workflow_id="never-ran"
    )
    with world.service():
        (answer,) = world.ask(quote)
    assert answer.status == "quoted"
    assert answer.quotation is not None
    assert answer.quotation.runs == 0
