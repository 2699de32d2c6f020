"""Looks of a Truth over many roots: what is told again, what is not, and that nothing is overlooked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest
from tests.quota.truth.world import DAY, NOW, World, limit, micros
from tests.rollups.calls import calls
from tests.rollups.rows import EPOCH

from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.pricing.cards import current_book
from taximeter_consumers.quota.truth.truth import Truth
from taximeter_consumers.rollups import Bounds, tick
from taximeter_consumers.rollups.batches import Batches, mark_rolled_up, new_batches
from taximeter_consumers.rollups.definitions import AFTER_ALL_OTHERS, IN_ANY_ORDER
from taximeter_consumers.rollups.recompute import Work, begin, read_ahead, recompute, rows_of, show
from taximeter_schemas.quota.limits import MINUTE, Window

pytestmark = pytest.mark.integration


@pytest.fixture
def limited(world: World) -> World:
    """Two accounts with a limit by month, both known."""
    world.plan(limit("executions", Window.MONTH, 50))
    for name in ("a", "b"):
        world.assign(f"account/{name}")
        world.names(f"account/{name}")
    return world


def used(world: World, root: str = "account/a", now: int = NOW) -> object:
    """What a look tells of a root; None where it tells nothing."""
    facts = world.look(now).get(root)
    return facts and facts.levels[root].usage.get("executions", {}).get(DAY, 0)


def test_only_what_changed_is_told_again(limited: World) -> None:
    """The first look tells all, the second nothing, the next ones the roots whose accounts used something."""
    assert set(limited.look()) == {"account/a", "account/b"}
    assert limited.look() == {}
    limited.use(3)
    assert used(limited) == 3
    assert limited.look() == {}
    limited.use(2, account="b", run="s")
    assert set(limited.look()) == {"account/b"}


def test_sums_that_are_kept_follow_late_and_changed_events(limited: World) -> None:
    """An event of a minute long past is in the next facts, as one of just now is."""
    limited.use(3)
    assert used(limited) == 3
    limited.use(2, run="now", occurred_at=EPOCH + timedelta(hours=12))
    assert used(limited) == 5
    limited.use(4, run="late")
    assert used(limited) == 9
    limited.use(1, run="now", first=700)
    assert used(limited) == 10


def half_a_tick(clickhouse: ClickHouse) -> tuple[Batches, Work]:
    """A tick up to where all is summed up, and neither shown nor recorded."""
    batches = new_batches(clickhouse, Bounds())
    assert batches is not None
    work = begin(clickhouse, rows_of(batches), current_book(clickhouse))
    read_ahead(clickhouse, AFTER_ALL_OTHERS, work)
    for rollup in IN_ANY_ORDER:
        recompute(clickhouse, rollup, work)
    return batches, work


def test_a_tick_that_is_seen_half_done_is_seen_again(limited: World) -> None:
    """Its use is told before it shows what transactions used; when that is written and recorded, both are told."""
    limited.names("account/a", transactions=["t1"])
    limited.look()
    limited.sink.store(calls(3, executions=1, transaction_id="t1"))
    batches, work = half_a_tick(limited.clickhouse)
    half = limited.look()["account/a"]
    assert (half.levels["account/a"].usage["executions"][DAY], half.visible["t1"]) == (3, {})
    show(limited.clickhouse, AFTER_ALL_OTHERS, work)
    mark_rolled_up(limited.clickhouse, batches, work.version)
    whole = limited.look()["account/a"]
    assert (whole.levels["account/a"].usage["executions"][DAY], whole.visible["t1"]["executions"]) == (3, 3)
    assert limited.look() == {}


def test_what_is_stored_while_a_tick_writes_is_not_shown_too_early(limited: World) -> None:
    """An event that comes when the use is summed up already, and transactions are not shown: the next tick has both."""
    limited.names("account/a", transactions=["t1"])
    limited.sink.store(calls(3, executions=1, transaction_id="t1"))
    batches, work = half_a_tick(limited.clickhouse)
    limited.sink.store(calls(1, executions=1, run="s", transaction_id="t1"))
    show(limited.clickhouse, AFTER_ALL_OTHERS, work)
    mark_rolled_up(limited.clickhouse, batches, work.version)
    for count in (3, 4):
        facts = limited.look()["account/a"]
        assert facts.levels["account/a"].usage["executions"][DAY] == facts.visible["t1"]["executions"] == count
        tick(limited.clickhouse)
    assert limited.clickhouse.scalar("SELECT count() FROM stored_transactions_read") == 0


class Between:
    """A connection that lets something happen right before and after transactions are read."""

    def __init__(self, clickhouse: ClickHouse, before: Callable[[], object], after: Callable[[], object]) -> None:
        self._clickhouse, self._before, self._after = clickhouse, before, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clickhouse, name)

    def rows_of_data(self, sql: str, *given: Any) -> list[tuple[Any, ...]]:
        """As the connection's own."""
        if "FROM transaction_usage" not in sql:
            return self._clickhouse.rows_of_data(sql, *given)
        self._before()
        found = self._clickhouse.rows_of_data(sql, *given)
        self._after()
        return found


def test_a_tick_in_the_middle_of_a_look_is_in_the_sums_that_are_kept(limited: World) -> None:
    """Late events of a transaction, rolled up after the look at what changed: what is shown of them is in the use."""
    late: list[int] = []
    between = Between(
        limited.clickhouse,
        lambda: limited.use(late.pop(), run="late", transaction_id="t1") if late else None,
        lambda: None,
    )
    limited.truth = Truth(cast("ClickHouse", between))
    limited.names("account/a", transactions=["t1"])
    limited.use(3)
    assert used(limited) == 3
    late.append(4)
    limited.use(1, run="now", occurred_at=EPOCH + timedelta(hours=12))
    facts = limited.look()["account/a"]
    assert facts.visible["t1"]["executions"] == 4
    assert facts.levels["account/a"].usage["executions"][DAY] == 8


def test_facts_are_as_of_after_what_they_show(limited: World) -> None:
    """So later facts, whoever reads them, have use that includes what earlier ones showed."""
    times: list[int] = []
    now = "SELECT toUnixTimestamp64Micro(now64(6))"
    between = Between(limited.clickhouse, lambda: None, lambda: times.append(int(limited.clickhouse.scalar(now))))
    limited.truth = Truth(cast("ClickHouse", between))
    limited.names("account/a", transactions=["t1"])
    facts = limited.look()["account/a"]
    assert times[0] <= facts.as_of
    assert limited.facts("account/a", ["account/a"], ["t1"]).as_of >= times[1] > facts.as_of


def test_a_new_transaction_is_asked_about_at_once(limited: World) -> None:
    """Its events may have been told before it was known."""
    limited.use(2, transaction_id="t1")
    limited.look()
    limited.names("account/a", transactions=["t1"])
    assert limited.look()["account/a"].visible["t1"]["executions"] == 2
    assert limited.look() == {}


def test_changed_rules_are_told(limited: World) -> None:
    """A plan that is changed, one that is taken away, a month that ends; what changes nothing there is not told."""
    limited.look()
    limited.assign("account/c")
    limited.plan(limit("executions", Window.MONTH, 60))
    assert {facts.levels[root].rules[0].amount for root, facts in limited.look().items()} == {60}
    limited.assign("account/a", "")
    assert limited.look()["account/a"].levels["account/a"].rules == ()
    december = micros(EPOCH + timedelta(days=30))
    assert set(limited.look(december)) == {"account/b", "account/c"}


def test_roots_with_assignments_come_although_nobody_asked(limited: World) -> None:
    """With the levels that have a plan of their own; only where they are owned."""
    limited.assign("user/c/ada")
    limited.assign("organisation/o")
    limited.join("d", "o")
    limited.assign("account/d")
    found = {
        facts.root: set(facts.levels) for facts in limited.truth.changed({}, lambda root: root != "account/b", NOW)
    }
    assert found == {
        "account/a": {"account/a"},
        "account/c": {"user/c/ada"},
        "organisation/o": {"organisation/o", "account/d"},
    }


def test_a_root_that_comes_back_is_told_anew(limited: World) -> None:
    """Whoever owns it now has a machine of its own."""
    limited.look()
    limited.truth.changed({}, lambda _root: False, NOW)
    assert set(limited.look()) == {"account/a", "account/b"}


def test_how_far_events_are_complete_is_told_to_roots_that_wait_for_it(limited: World) -> None:
    """Those with open transactions, though nothing else changes."""
    complete = [0]
    limited.truth = Truth(limited.clickhouse, lambda: complete[0])
    limited.names("account/a", transactions=["t1"])
    limited.look()
    complete[0] = NOW
    found = limited.look()
    assert {root: facts.complete_until for root, facts in found.items()} == {"account/a": NOW}


def test_the_window_before_is_told_for_some_minutes(limited: World) -> None:
    """A command of the month's last moment may come after facts of the next one's first."""
    limited.use(3)
    first = micros(EPOCH + timedelta(days=30))
    told = limited.facts("account/a", ["account/a"], now=first + MINUTE).levels["account/a"]
    (rule,) = told.rules
    assert rule.window_at(first - 1) is not None
    assert told.usage["executions"][DAY] == 3


def test_use_of_now_is_read_beside_sums_that_are_kept(limited: World) -> None:
    """However often, with nothing counted twice."""
    for step in range(4):
        moment = EPOCH + timedelta(hours=12, minutes=step)
        limited.use(1, run=f"r{step}", first=step, occurred_at=moment)
        assert used(limited, now=micros(moment)) == step + 1
    tick(limited.clickhouse)
