"""`taximeter quota plans|assign|add-on|organisation` over a real database: what is said, and what then counts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from tests.quota.truth.world import World, micros
from typer.testing import CliRunner

from taximeter_consumers.quota.plans.named_level import level_of
from taximeter_consumers.quota.plans.setting_rows import load_shipped_plans, read_directory
from taximeter_infra.cli.app import app
from taximeter_schemas.settings import ClickHouseSettings

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _environment(migrated_database: ClickHouseSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICKHOUSE_URL", migrated_database.url.get_secret_value())
    monkeypatch.setenv("CLICKHOUSE_DATABASE", migrated_database.database)


def quota(*words: str, exit_code: int = 0) -> str:
    """What a command says."""
    result = CliRunner().invoke(app, ["quota", *words], env={"COLUMNS": "200"})
    assert result.exit_code == exit_code, result.output
    return result.output


def counts(world: World, key: str, at: datetime | None = None) -> dict[str, tuple[Decimal, Decimal]]:
    """What counts at a level: limit to amount and add-ons."""
    rules = read_directory(world.clickhouse).rules(level_of(key), micros(at or datetime.now(UTC)))
    return {rule.limit_id: (rule.amount, rule.added) for rule in rules}


def test_shipped_plans_are_there_and_assigned_by_name(world: World) -> None:
    """Listed with their tokens; an account has one at once, or from a time on."""
    shown = [line.split() for line in quota("plans").splitlines()]
    assert ["starter", "Starter", "total_tokens/month", "2,500,000", "total_tokens", "month", "stops"] in shown
    assert json.loads(quota("plans", "--json")) == json.loads(quota("plans", "list", "--json"))
    assert "account/acme has starter from now on" in quota("assign", "starter", "--account", "acme")
    quota("assign", "business", "--account", "acme", "--at", "2100-01-01")
    quota("assign", "none", "--account", "acme", "--at", "2100-02-01")
    name = "starter/total_tokens/month"
    assert counts(world, "account/acme") == {name: (2_500_000, 0)}
    assert set(counts(world, "account/acme", datetime(2100, 1, 2, tzinfo=UTC))) == {"business/total_tokens/month"}
    assert counts(world, "account/acme", datetime(2100, 2, 2, tzinfo=UTC)) == {}


def test_an_operators_plan_is_never_overwritten(world: World) -> None:
    """What came with Taximeter is put in where nobody has used its name."""
    quota("plans", "add", "hobby", "--multiplier", "3")
    assert load_shipped_plans(world.clickhouse) == 0
    (line,) = [line for line in quota("plans", "list").splitlines() if line.startswith("hobby")]
    assert "Hobby, limits times 3  total_tokens/month" in line
    assert "150,000" in line


def test_a_plan_is_made_and_limited(world: World) -> None:
    """Limits of each kind; one set again is replaced, none ends it; JSON has exact amounts."""
    quota("plans", "add", "pro", "--name", "Professional", "--multiplier", "1.5")
    quota("plans", "limit", "pro", "total_tokens=1_000_000")
    quota("plans", "limit", "pro", "total_tokens=2000000")
    quota("plans", "limit", "pro", "cost_usd=0.000000000000000003", "--window", "day", "--each", "user", "--fail-open")
    quota("plans", "limit", "pro", "executions=500", "--window", "run")
    quota("plans", "limit", "pro", "code_us=7", "--soft", "--id", "warning", "--thresholds", "80")
    said = quota("assign", "pro", "--account", "acme", "--user", "ada")
    assert "its limit executions/run counts nothing there" in said
    quota("assign", "pro", "--account", "acme")
    quota("plans", "limit", "pro", "code_us=none", "--id", "warning")
    assert counts(world, "account/acme") == {"pro/total_tokens/month": (3_000_000, 0)}
    assert counts(world, "user/acme/bob") == {"pro/user/cost_usd/day": (Decimal("0.000000000000000004"), 0)}
    assert counts(world, "run/acme/r") == {"pro/executions/run": (750, 0)}
    plans = json.loads(quota("plans", "list", "--json"))["plans"]
    (pro,) = [plan for plan in plans if plan["plan_id"] == "pro"]
    assert {limit["limit_id"]: limit["amount"] for limit in pro["limits"]}[
        "user/cost_usd/day"
    ] == "0.000000000000000003"


def test_add_ons_raise_a_month_and_end(world: World) -> None:
    """Until the month's end if nothing else is said; listed, ended by their id."""
    quota("assign", "starter", "--account", "acme")
    bought = json.loads(quota("add-on", "total_tokens=100000", "--account", "acme", "--reason", "Bought", "--json"))
    quota("add-on", "total_tokens=5", "--account", "acme", "--every-month", "--id", "extra")
    quota("add-on", "total_tokens=5", "--account", "acme", "--every-month", "--id", "extra")
    name = "starter/total_tokens/month"
    assert counts(world, "account/acme") == {name: (2_500_000, 100_005)}
    ends = datetime.fromisoformat(bought["ends_at"])
    assert counts(world, "account/acme", ends) == {name: (2_500_000, 5)}
    assert "extra: account/acme has 5 total_tokens more a month" in quota("add-on")
    quota("add-on", "--end", "extra")
    assert counts(world, "account/acme") == {name: (2_500_000, 100_000)}
    assert "did you mean extra?" in quota("add-on", "--end", "extr", exit_code=1)


def test_an_account_joins_an_organisation_and_leaves_it(world: World) -> None:
    """From the minute on."""
    assert "acme belongs to globex" in quota("organisation", "acme", "globex")
    quota("organisation", "acme", "none", "--at", "2100-01-01")
    directory = read_directory(world.clickhouse)
    now, later = micros(datetime.now(UTC)), micros(datetime(2100, 1, 1, tzinfo=UTC))
    assert [directory.root_of("acme", at).key for at in (now, later)] == ["organisation/globex", "account/acme"]


@pytest.mark.parametrize(
    ("words", "mend"),
    [
        (["assign", "startr", "--account", "acme"], "did you mean starter? there are business, enterprise, hobby"),
        (["plans", "limit", "gone", "total_tokens=5"], "there are business, enterprise, hobby, starter"),
        (["plans", "add", "free", "--multiplier", "0"], "give a number above 0"),
        (["add-on", "total_tokens=5", "--account", "a", "--to", "2000-01-01"], "give a later --to"),
        (["add-on", "total_tokens=0", "--account", "a"], "give an amount above 0"),
        (["organisation", "", "globex"], "name the account"),
    ],
)
def test_what_makes_no_sense_names_its_mend(world: World, words: list[str], mend: str) -> None:
    """Nothing is appended."""
    before = read_directory(world.clickhouse).next_change(0)
    assert mend in quota(*words, exit_code=1)
    assert read_directory(world.clickhouse).next_change(0) == before


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("tokens=5", "did you mean total_tokens? there is no meter 'tokens'; there are total_tokens"),
        ("total_tokens", "is not like total_tokens=5000"),
        ("total_tokens=", "is not like total_tokens=5000"),
        ("total_tokens=few", "'few' is no number"),
        ("total_tokens=-5", "is no amount"),
        ("total_tokens=1.5", "no whole number"),
    ],
)
def test_amounts_that_are_none_are_told_alike(world: World, word: str, said: str) -> None:
    """By every command that takes them, with exit code 2."""
    assert said in plainly(quota("plans", "limit", "hobby", word, exit_code=2))
    assert said in plainly(quota("add-on", word, "--account", "acme", exit_code=2))


def plainly(panel: str) -> str:
    """The words in the frame of an error."""
    return " ".join(panel.replace("│", " ").split())


def test_thousands_may_be_set_apart(world: World) -> None:
    """By commas and underscores, and dollars may say that they are."""
    quota("plans", "limit", "hobby", "total_tokens=1,000_000")
    quota("plans", "limit", "hobby", "cost_usd=$20.50")
    quota("assign", "hobby", "--account", "acme")
    found = {name: amount for name, (amount, _) in counts(world, "account/acme").items()}
    assert found == {"hobby/total_tokens/month": 1_000_000, "hobby/cost_usd/month": Decimal("20.5")}


def test_an_ended_limit_leaves_the_list(world: World) -> None:
    """Zero and none are no limit; a plan without one says so."""
    quota("plans", "add", "free")
    assert "no limits" in next(line for line in quota("plans").splitlines() if line.startswith("free"))
    quota("plans", "limit", "free", "executions=5", "--window", "day")
    assert "executions/day" in quota("plans")
    quota("plans", "limit", "free", "executions=0", "--window", "day")
    assert "executions/day" not in quota("plans")


def test_add_ons_are_listed_by_whose_they_are(world: World) -> None:
    """Of one account, or all."""
    quota("add-on", "total_tokens=5", "--account", "acme", "--id", "ours")
    quota("add-on", "total_tokens=5", "--account", "other", "--id", "theirs")
    assert [row["add_on_id"] for row in json.loads(quota("add-on", "--account", "acme", "--json"))["add_ons"]] == [
        "ours"
    ]
    assert "theirs" in quota("add-on")
    assert quota("add-on", "--organisation", "globex") == "no add-ons of organisation/globex\n"


@pytest.mark.parametrize(
    "words",
    [["assign", "hobby"], ["assign", "hobby", "--account", "a", "--user", "u", "--key", "k"], ["plans", "limit"]],
)
def test_what_is_not_said_is_asked_for(world: World, words: list[str]) -> None:
    """Exit code 2."""
    quota(*words, exit_code=2)
