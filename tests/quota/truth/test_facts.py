"""Facts against the events behind them, on the real tables: to the last digit, in the right windows, at every level."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from tests.properties import on_servers
from tests.quota.truth.world import DAY, NOON, NOW, World, limit, micros
from tests.rollups.book import small_book
from tests.rollups.model import counted, rollup
from tests.rollups.rows import EPOCH
from tests.rollups.strategies import histories

from taximeter_consumers.rollups import tick
from taximeter_schemas.event import Context, HttpUsage, MeterEvent, PluginUsage
from taximeter_schemas.quota.limits import MINUTE, Window
from taximeter_schemas.quota.meters import METERS

pytestmark = pytest.mark.integration

COUNTED = ("input_tokens", "output_tokens", "executions", "cost_usd")


def limited(world: World, *windows: Window, level: str = "", meters: tuple[str, ...] = METERS) -> None:
    """A plan that limits some meters over some windows."""
    world.plan(*(limit(meter, window, 10**9, level) for meter in meters for window in windows))


def units(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the model by meters, what is zero left out."""
    named = {f"plugin_units.{unit}": amount for unit, amount in row["custom_units"].items()}
    return {name: value for name, value in ({meter: row[meter] for meter in METERS} | named).items() if value}


def test_what_nobody_limits_is_known_and_unlimited(world: World) -> None:
    """A level without rules has facts without any; so has a name that is no level."""
    world.use(3)
    facts = world.facts("account/a", ["account/a", "user/a/ada", "nonsense"])
    assert {key: (told.rules, told.usage) for key, told in facts.levels.items()} == dict.fromkeys(
        ("account/a", "user/a/ada", "nonsense"), ((), {})
    )
    assert facts.unavailable == ()


def test_use_counts_at_every_level_and_in_every_window(world: World) -> None:
    """Account, project, user and key each have their part; minute, day and month theirs."""
    world.plan(
        *(limit("executions", Window.DAY, 50, level) for level in ("", "project", "user", "key")),
        *(limit("executions", window, 50) for window in (Window.MINUTE, Window.MONTH)),
    )
    world.assign("account/a")
    world.use(3, project_id="p1")
    world.use(2, run="s", user_id="bob", tags={"key_id": "k1"}, occurred_at=NOON)
    world.use(4, run="t", context=Context.SYSTEM)
    world.use(5, account="b", run="u")
    levels = ["account/a", "project/a/p1", "user/a/ada", "user/a/bob", "key/a/k1", "user/a/nobody"]
    told = world.facts("account/a", levels).levels
    found = {key: level.usage["executions"].get(DAY) for key, level in told.items() if level.usage}
    assert found == {"account/a": 5, "project/a/p1": 3, "user/a/ada": 3, "user/a/bob": 2, "key/a/k1": 2}
    minute = NOW - NOW % MINUTE
    assert told["account/a"].usage["executions"][minute] == 2


def test_windows_are_those_of_the_account(world: World) -> None:
    """Its time zone and its anchor day."""
    world.plan(limit("executions", Window.DAY, 50), limit("executions", Window.MONTH, 50))
    world.assign("account/a")
    world.clickhouse.execute(
        "INSERT INTO stored_billing_accounts (account_id, valid_from, anchor_day, time_zone, currency)"
        " VALUES ('a', '2020-01-01 00:00:00', 15, 'Asia/Tokyo', 'USD')"
    )
    world.use(2, occurred_at=EPOCH - timedelta(hours=10))
    world.use(3, run="s", occurred_at=EPOCH - timedelta(hours=9))
    usage = world.facts("account/a", ["account/a"], now=micros(EPOCH)).levels["account/a"].usage["executions"]
    day, month = micros(EPOCH - timedelta(hours=9)), micros(EPOCH - timedelta(days=17, hours=9))
    assert usage == {day: 3, month: 5}


def test_what_a_cost_lacks_is_counted(world: World) -> None:
    """Calls without a price, of unknown use, and plugin units without a price."""
    limited(world, Window.MONTH, meters=("cost_usd",))
    world.assign("account/a")
    world.use(2, model="brand-new")
    world.use(1, run="s", plugin=PluginUsage(plugin_id="other", custom_units={"page": Decimal(1)}))
    level = world.facts("account/a", ["account/a"]).levels["account/a"]
    assert level.lacking == {DAY: 3}
    assert level.usage["cost_usd"][DAY] == Decimal("0.0025")


def test_a_run_counts_all_that_runs_inside_it(world: World) -> None:
    """At any depth; siblings, the platform's own runs and what runs elsewhere do not count."""
    world.plan(limit("executions", Window.RUN, 50, "run"), limit("http_bytes", Window.RUN, 50, "run"))
    world.assign("account/a")
    for run, parent in (("r", ""), ("r1", "r"), ("r2", "r1"), ("r3", "r2"), ("other", "")):
        world.use(2, run=run, parent_run_id=parent, http=HttpUsage(requests=1, bytes_out=3, bytes_in=4))
    world.use(1, run="own", parent_run_id="r", context=Context.SYSTEM)
    world.use(1, account="b", run="r4", parent_run_id="r")
    told = world.facts("account/a", ["run/a/r", "run/a/r2", "run/a/gone"]).levels
    assert told["run/a/r"].usage == {"executions": {0: 8}, "http_bytes": {0: 56}}
    assert told["run/a/r2"].usage == {"executions": {0: 4}, "http_bytes": {0: 28}}
    assert told["run/a/gone"].usage == {}


def test_an_organisation_counts_its_accounts_while_they_belong_to_it(world: World) -> None:
    """From the minute in which one joins until the one in which it leaves; the account's own use stays whole."""
    world.plan(limit("executions", Window.MONTH, 50))
    for key in ("organisation/o", "account/a"):
        world.assign(key)
    world.join("a", "o", EPOCH + timedelta(minutes=2))
    world.join("a", "", EPOCH + timedelta(minutes=5))
    world.join("b", "o")
    world.use(10)
    world.use(4, account="b", run="s")
    told = world.facts("organisation/o", ["organisation/o", "account/a"])
    assert told.levels["organisation/o"].usage == {"executions": {DAY: 7}}
    assert told.levels["account/a"].usage == {"executions": {DAY: 10}}
    assert told.moved_to == {"a": "account/a"}
    assert world.facts("account/b", ["account/b"]).moved_to == {"b": "organisation/o"}


def test_what_transactions_show_is_in_the_use(world: World) -> None:
    """Every meter of every event that carries the transaction, whichever window it lies in."""
    limited(world, Window.MONTH)
    world.assign("account/a")
    world.use(3, transaction_id="t1", plugin=PluginUsage(plugin_id="ocr", custom_units={"page": Decimal("0.5")}))
    world.use(1, run="s", transaction_id="t2", occurred_at=EPOCH - timedelta(days=40))
    world.use(1, run="x", transaction_id="t1", context=Context.SYSTEM)
    world.use(1, run="y", account="b", transaction_id="t1")
    facts = world.facts("account/a", ["account/a"], ["t1", "t2", "t3"])
    assert facts.visible["t1"]["plugin_units.page"] == Decimal("1.5")
    assert {name: facts.visible["t1"][name] for name in COUNTED} == {
        name: facts.levels["account/a"].usage[name][DAY] for name in COUNTED
    }
    assert facts.visible["t2"]["executions"] == 1
    assert facts.visible["t3"] == {}


def test_broken_terms_make_one_level_unavailable(world: World) -> None:
    """An account in a time zone that does not exist keeps nobody else waiting."""
    world.plan(limit("executions", Window.DAY, 50))
    for key in ("account/a", "account/b"):
        world.assign(key)
    world.clickhouse.execute(
        "INSERT INTO stored_billing_accounts (account_id, valid_from, anchor_day, time_zone, currency)"
        " VALUES ('a', '2020-01-01 00:00:00', 1, 'Nowhere/City', 'USD')"
    )
    world.names("account/a")
    world.names("account/b")
    found = world.look()
    assert found["account/a"].unavailable == ("account/a",)
    assert found["account/b"].levels["account/b"].rules


def test_facts_equal_the_events_to_the_last_digit(world: World) -> None:
    """Random events, copies, late ones, ticks between: use by account, by user and by transaction as plain sums of the
    events that count, also where a Truth has looked before and has kept sums."""
    limited(world, Window.MONTH)
    plan = [limit(meter, Window.MONTH, 10**9, "user") for meter in METERS]
    world.plan(*plan, *(limit(meter, Window.MONTH, 10**9) for meter in METERS))
    numbers = count()

    @on_servers(4)
    @given(histories())
    def check(history: list[tuple[list[MeterEvent], bool]]) -> None:
        account = f"account-{next(numbers)}"
        root = f"account/{account}"
        world.assign(root)
        world.names(root, f"user/{account}/ada", transactions=("t1", "t2", "t3"))
        arrived: list[MeterEvent] = []
        for batch, has_tick in history:
            mine = [event.model_copy(update={"account_id": account}) for event in batch]
            world.sink.store(mine)
            arrived += mine
            if has_tick:
                tick(world.clickhouse)
                world.look()
        tick(world.clickhouse)
        asked = world.facts(root, [root, f"user/{account}/ada"], ("t1", "t2", "t3"))
        looked = world.look().get(root)
        assert looked is None or looked.levels == asked.levels
        expect(counted(arrived), root, asked)

    def expect(events: list[MeterEvent], root: str, facts: Any) -> None:
        rows = rollup(events, small_book(), "quota_usage")
        levels: dict[str, dict[str, Any]] = {root: defaultdict(Decimal), f"user/{root[8:]}/ada": defaultdict(Decimal)}
        for (account, minute, _, user, _), row in rows.items():
            if (minute.year, minute.month) == (2026, 11):
                for key in (root, f"user/{account}/{user}"):
                    for meter, amount in units(row).items():
                        levels.get(key, defaultdict(Decimal))[meter] += amount
        for key, amounts in levels.items():
            usage = {meter: by_window[DAY] for meter, by_window in facts.levels[key].usage.items() if DAY in by_window}
            assert usage == {meter: amounts[meter] for meter in METERS if amounts[meter]}
        shown: dict[str, Any] = {name: defaultdict(Decimal) for name in ("t1", "t2", "t3")}
        for (_, transaction, _), row in rollup(events, small_book(), "transaction_usage").items():
            for meter, amount in units(row).items():
                shown[transaction][meter] += amount
        expected = {name: {meter: value for meter, value in of.items() if value} for name, of in shown.items()}
        found = {name: {meter: value for meter, value in of.items() if value} for name, of in facts.visible.items()}
        assert found == expected

    check()
