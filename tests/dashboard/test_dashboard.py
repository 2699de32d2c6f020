"""The dashboard in Chromium, over a real broker, ClickHouse, sink, aggregator and quota service."""

from __future__ import annotations

import csv
import io
import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.dashboard.browser import PHONE, Opened
from tests.dashboard.stage import ACCOUNT, EVIL_FLOW, EVIL_MODEL, EVIL_USER, HOSTILE, OTHER, RUN, Stage, stage_at
from tests.quota.sdk.conftest import Site, new_site

from taximeter_schemas.money import plain

__all__ = ["new_site"]  # a fixture of the quota SDK's tests: sites with a service that decides
pytestmark = pytest.mark.integration
ONE_RUN = f"?run={RUN}&runAccount={ACCOUNT}"
"""A view that asks for little."""


@pytest.fixture(scope="module")
def whole(new_site: Callable[[], Site]) -> Iterator[Stage]:
    """One stage for all tests here."""
    with stage_at(new_site()) as made:
        yield made


@pytest.fixture
def stage(whole: Stage) -> Iterator[Stage]:
    """The stage with no page open; afterwards no page may have had an error, in code, policy or network."""
    yield whole
    assert whole.close() == []


def tile(page: Opened, name: str) -> str:
    """The exact value of a tile."""
    (value,) = page.of(f"[data-tile='{name}'] .value data", "value")
    return value


def sums(stage: Stage, where: str = "true") -> tuple[str, str, str, str]:
    """Cost, tokens, calls and events by SQL."""
    (row,) = stage.sql.rows(
        f"SELECT sum(cost_usd), sum(total_tokens), sum(ai_calls), sum(events) FROM usage_by_subject WHERE {where}"
    )
    return plain(row[0]), *(str(one) for one in row[1:])


def shown(page: Opened) -> tuple[str, str, str, str]:
    """The same on the page."""
    return tile(page, "cost"), tile(page, "tokens"), tile(page, "calls"), tile(page, "events")


def test_the_totals_are_those_of_sql(stage: Stage) -> None:
    """To the last digit, and the cost says what it lacks, in the tile and in the strip."""
    page = stage.home()
    page.until(lambda: shown(page) == sums(stage), "the totals")
    unpriced, unmeasured, estimated = stage.sql.rows(
        "SELECT sum(unpriced_calls), sum(unmeasured_calls), sum(estimated_cost_usd) FROM usage_by_subject"
    )[0]
    assert page.of("[data-part=unpriced] data", "value") == [str(unpriced)]
    assert page.of("[data-part=unmeasured] data", "value") == [str(unmeasured)]
    assert page.of("[data-part=estimated] data", "value") == [plain(estimated)]
    assert unpriced + unmeasured > 0
    assert "at least" in page.of("[data-tile=cost]")[0]
    assert f"lacks {unpriced + unmeasured} calls" in page.of("[data-tile=cost]")[0]


@pytest.mark.parametrize(
    ("panel", "query", "shown_rows"),
    [
        ("workflows", "SELECT workflow_id AS name, sum(cost_usd) AS cost FROM usage_by_subject GROUP BY 1", 8),
        ("users", "SELECT user_id AS name, sum(cost_usd) AS cost FROM usage_by_subject GROUP BY account_id, 1", 8),
        ("nodes", "SELECT node_id AS name, sum(cost_usd) AS cost FROM node_costs GROUP BY workflow_id, 1", 8),
    ],
)
def test_the_dearest_are_those_of_sql(stage: Stage, panel: str, query: str, shown_rows: int) -> None:
    """Names and costs, the dearest first."""
    page = stage.home()
    wanted = [(name, plain(cost)) for name, cost in stage.sql.rows(f"{query} ORDER BY cost DESC LIMIT {shown_rows}")]
    costs = page.column(panel, "Cost")
    assert len(wanted) > 5
    assert costs == [cost for _, cost in wanted]
    dearer = [name for name, cost in wanted if costs.count(cost) == 1]
    assert [name for name in page.names(panel) if name in dearer] == dearer


def test_models_and_node_types_are_those_of_sql(stage: Stage) -> None:
    """Tokens split into input, cached, output and reasoning; time by node type; each as SQL has it."""
    page = stage.home()
    rows = stage.sql.rows(
        "SELECT model, sum(input_tokens), sum(cache_read_tokens), sum(output_tokens), sum(reasoning_tokens),"
        " sum(total_tokens) AS total FROM model_costs GROUP BY provider, model ORDER BY total DESC LIMIT 8"
    )
    columns = [page.column("tokens", name) for name in ("Input", "Cached", "Output", "Reasoning", "Total")]
    assert sorted(zip(*columns, strict=True)) == sorted(tuple(str(one) for one in row[1:]) for row in rows)
    types = stage.sql.rows("SELECT node_type, sum(duration_us) AS took FROM node_costs GROUP BY 1 ORDER BY took DESC")
    assert page.names("nodeTypes") == [name for name, _ in types]
    assert page.column("nodeTypes", "Time") == [str(took) for _, took in types]


def test_the_chart_has_the_cost_of_every_day_and_model(stage: Stage) -> None:
    """Its table, its legend and its CSV say what SQL says, and the canvas is drawn."""
    page = stage.open("?range=all&granularity=day")
    wanted = stage.sql.rows(
        "SELECT toString(toDate(hour)), model, sum(cost_usd) FROM model_costs GROUP BY 1, provider, model"
    )
    with page.page.expect_download() as saved:
        page.page.locator("#costOverTime").get_by_role("button", name="CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(saved.value.path()).read_text("utf-8-sig"))))
    found = sorted((row["period"][:10], row["model"].removeprefix("'"), row["cost_usd"]) for row in rows)
    assert found == sorted((day, model, plain(cost)) for day, model, cost in wanted)
    assert sorted(page.column("costOverTime", "Cost")) == sorted(row["cost_usd"] for row in rows)
    legend = page.of("#costOverTime .legend .number data", "value")
    assert Decimal(stage.sql.scalar("SELECT sum(cost_usd) FROM model_costs")) == sum(map(Decimal, legend))
    assert page.of("#costOverTime canvas", "width") != []


def test_an_accounts_key_sees_its_account_alone(stage: Stage) -> None:
    """Its own numbers, no filter for accounts, and nothing of the others."""
    page = stage.open(key=stage.mine)
    assert shown(page) == sums(stage, f"account_id = '{ACCOUNT}'")
    assert page.of("#filter-account") == []
    assert OTHER not in page.page.inner_text("body")
    assert page.of(".whose") == [f"Account: {ACCOUNT}"]


def asked(stage: Stage, path: str, body: dict[str, Any] | None = None) -> Any:
    """One request as the operator."""
    request = urllib.request.Request(
        f"{stage.url}{path}",
        None if body is None else json.dumps(body).encode(),
        {"Authorization": f"Bearer {stage.operator}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_the_bar_moves_with_a_simulated_event(stage: Stage) -> None:
    """It stands where the API says, and moves by itself to where it says next; so do the totals."""
    page = stage.open(key=stage.mine)
    bar = f"#quota [data-meter='{ACCOUNT}']"
    before = asked(stage, f"/api/account/usage?accountId={ACCOUNT}")
    assert page.of(f"{bar} data", "value") == [str(before["percent"])]
    assert page.of(f"{bar} .amounts") == [f"{before['used']:,} / {before['limit']:,} tokens"]
    page.until(lambda: page.of(".live", "data-status") == ["live"])
    began = time.monotonic()
    assert asked(stage, "/api/test/simulate-tokens", {"tokens": 123_456, "accountId": ACCOUNT})["ok"]
    amounts = f"{before['used'] + 123_456:,} / {before['limit']:,} tokens"
    page.until(lambda: page.of(f"{bar} .amounts") == [amounts], "the bar")
    moved = time.monotonic() - began
    page.until(lambda: shown(page) == sums(stage, f"account_id = '{ACCOUNT}'"), "the totals")
    print(
        f"the bar moved {moved:.2f} s after the event was asked for, the totals after {time.monotonic() - began:.2f} s"
    )
    page.until(lambda: "Up to date" in page.of(".fresh")[0], "freshness")


def test_limits_say_how_near_they_are_in_words_too(stage: Stage) -> None:
    """Every limit of the account has a bar; one that is used up says so without colour."""
    page = stage.open(f"?range=all&account={ACCOUNT}")
    bar = page.page.locator("#quota [role=progressbar]", has_text="cost usd per month")

    def stands_where_it_should() -> bool:
        # The events of the test before may still be on their way to both.
        standings = asked(stage, f"/v1/quota/{ACCOUNT}")["standings"]
        dollars = next(one for one in standings if one["meter"] == "cost_usd")
        return bar.locator("data").get_attribute("value") == dollars["percent"]

    page.until(stands_where_it_should, "the bar")
    for one in page.page.locator("#quota [role=progressbar]").all():
        percent = float(one.locator("data").get_attribute("value"))
        assert one.locator(".badge").count() == (percent >= 80)
        one.focus()
        assert "/" in one.get_attribute("aria-valuetext")


def test_filters_are_in_the_address(stage: Stage) -> None:
    """Chosen ones come into it, an address brings them back, and so does the back button."""
    page = stage.open()
    page.page.locator("#filter-account").focus()
    page.until(lambda: ACCOUNT in page.of("#filter-account option"))
    page.page.select_option("#filter-account", ACCOUNT)
    page.until(lambda: shown(page) == sums(stage, f"account_id = '{ACCOUNT}'"), "the account's totals")
    page.settled().until(lambda: "ada" in page.of("#filter-user option"))
    page.page.select_option("#filter-user", "ada")
    where = f"account_id = '{ACCOUNT}' AND user_id = 'ada'"
    page.until(lambda: shown(page) == sums(stage, where), "the user's totals")
    assert f"account={ACCOUNT}&user=ada&range=all" in page.page.url
    page.page.reload()
    page.until(lambda: page.of("[data-tile=cost] data") and shown(page) == sums(stage, where), "the same again")
    page.page.go_back()
    page.until(lambda: shown(page) == sums(stage, f"account_id = '{ACCOUNT}'"), "the totals before")
    assert page.page.locator("#filter-user").input_value() == ""


def test_a_panel_that_cannot_be_filtered_so_says_it(stage: Stage) -> None:
    """It shows no other numbers; those that can show the model's, from the rollups or from single events."""
    page = stage.open("?range=all&model=gpt-4o")
    assert page.of("#users .notice strong") == ["Not kept by model."]
    assert page.column("users", "Cost") == []
    cost = stage.sql.scalar("SELECT sum(cost_usd) FROM model_costs WHERE model = 'gpt-4o'")
    assert tile(page, "cost") == plain(cost) == page.column("tokens", "Cost")[0]
    page = stage.open(f"?range=all&model=gpt-4o&user=ada&account={ACCOUNT}")
    tokens = stage.sql.scalar("SELECT sum(total_tokens) FROM events WHERE model = 'gpt-4o' AND user_id = 'ada'")
    assert tile(page, "tokens") == str(tokens)
    page.page.locator("#runs").get_by_role("button", name="Clear the model filter").click()
    page.until(lambda: page.names("runs"), "runs")
    assert "model=" not in page.page.url


def test_a_run_is_a_tree_with_its_waste(stage: Stage) -> None:
    """Opened from the list; costs are those of SQL; attempts that were tried again say so; keys fold it."""
    page = stage.open(f"?range=all&account={ACCOUNT}&user=ada")
    page.page.locator(f"[data-run='{RUN}']").click()
    page.until(lambda: page.of(".tree tbody tr"), "the tree")
    nodes = dict(stage.sql.rows(f"SELECT node_id, cost_usd FROM node_costs WHERE run_id = '{RUN}'"))
    for node, cost in nodes.items():
        line = page.page.locator(".tree tr.node", has_text=node)
        assert line.locator("[data-column=Cost] data").get_attribute("value") == plain(cost)
    wasted = stage.sql.scalar(f"SELECT wasted_cost_usd FROM run_costs WHERE run_id = '{RUN}'")
    first = page.page.locator(".tree tr.attempt", has_text="Attempt 1").first
    assert first.locator("[data-column=Wasted] data").get_attribute("value") == plain(wasted)
    assert "tried again" in first.inner_text()
    assert "too <b>long</b>" in first.inner_text()
    assert "unknown" in page.page.locator(".tree tr.node", has_text="guess").inner_text()
    assert page.of(".tree tr.run .name") == [RUN, "below"]
    page.page.locator(".tree tbody tr").first.focus()
    page.page.keyboard.press("ArrowLeft")
    page.until(lambda: len(page.of(".tree tbody tr")) == 1, "the folded tree")
    page.page.keyboard.press("ArrowRight")
    page.page.keyboard.press("ArrowRight")
    assert page.page.evaluate("document.activeElement.getAttribute('aria-level')") == "2"
    page.page.go_back()
    page.settled()
    assert page.names("runs") != []


def test_hostile_names_are_text(stage: Stage) -> None:
    """Markup in models, users, nodes, workflows and runs is read, never run; in a CSV no formula is left."""
    page = stage.open(f"?range=all&account={HOSTILE}")
    assert EVIL_USER in page.names("users")
    assert EVIL_MODEL in page.names("tokens")
    assert EVIL_FLOW in page.names("workflows")
    with page.page.expect_download() as saved:
        page.page.locator("#workflows").get_by_role("button", name="CSV").click()
    (row,) = csv.DictReader(io.StringIO(Path(saved.value.path()).read_text("utf-8-sig")))
    assert row["workflow_id"] == f"'{EVIL_FLOW}"
    page.page.locator(".chart").hover()
    page.page.locator("#runs [data-run]").first.click()
    page.until(lambda: page.of(".tree tbody tr"), "the tree")
    assert page.of(".run-head h1 .mono") == [EVIL_MODEL]
    assert page.page.evaluate("window.pwned") is None
    assert page.of("#app img[src=x], #app script") == []


def test_everything_is_reached_by_keys(stage: Stage) -> None:
    """The skip link comes first and leads to the numbers; the chart moves by arrows and tells; a form signs in."""
    page = stage.blank()
    page.page.goto(f"{stage.url}/dashboard{ONE_RUN}")
    page.until(lambda: page.of("#key"), "the form")
    page.page.keyboard.type(stage.operator)
    page.page.keyboard.press("Enter")
    page.settled()
    assert stage.operator not in page.page.url
    page.page.reload()
    page.settled()
    page.page.keyboard.press("Tab")
    assert page.page.evaluate("document.activeElement.className") == "skip"
    page.page.keyboard.press("Enter")
    page.page.keyboard.press("Tab")
    assert page.page.evaluate("document.querySelector('main').contains(document.activeElement)")
    page = stage.home()
    page.page.locator(".chart").focus()
    page.page.keyboard.press("ArrowRight")
    page.until(lambda: "$" in page.of("#said")[0] and ":" in page.of("#said")[0], "the spoken column")
    landmarks = {"header": 1, "main": 1, "h1": 1, ".skip": 1, "section.filters[aria-label]": 1}
    assert {name: len(page.of(name)) for name in landmarks} == landmarks
    assert all(page.of("select", "id"))
    unnamed = (
        "[...document.querySelectorAll('button')].filter((one) => !(one.textContent.trim() || one.ariaLabel)).length"
    )
    assert page.page.evaluate(unnamed) == 0


@pytest.mark.parametrize("search", ["?range=all", ONE_RUN])
def test_a_phone_never_scrolls_sideways(stage: Stage, search: str) -> None:
    """At 390 pixels, with long names as well."""
    page = stage.open(search, viewport=PHONE)
    assert not page.is_wider_than_the_screen
    page.page.get_by_role("button", name="Sign out").click()
    page.until(lambda: page.of("#key"), "the form")
    assert not page.is_wider_than_the_screen


def test_light_and_dark(stage: Stage) -> None:
    """As the system has it, until somebody chooses; the choice stays."""
    ground = "getComputedStyle(document.body).backgroundColor"
    light, dark = stage.home(), stage.open(ONE_RUN, color_scheme="dark")
    bright, night = light.page.evaluate(ground), dark.page.evaluate(ground)
    assert bright != night
    button = dark.page.locator("[aria-label^=Colours]")
    button.click()
    assert dark.page.evaluate(ground) == bright
    dark.page.reload()
    dark.settled()
    assert dark.page.evaluate(ground) == bright


def test_a_key_is_handed_over_in_the_fragment_and_gone_from_the_address(stage: Stage) -> None:
    """It stays in the tab, a reload keeps it, and signing out forgets it."""
    page = stage.open(ONE_RUN)
    assert "#" not in page.page.url
    assert stage.operator not in page.page.content()
    page.page.reload()
    page.settled()
    page.page.get_by_role("button", name="Sign out").click()
    page.until(lambda: page.of("#key"), "the form")
    assert page.page.evaluate("sessionStorage.length") == 0


def test_an_account_without_use_is_told_so(stage: Stage) -> None:
    """Nothing is an empty table or a chart of nothing."""
    page = stage.open("?range=all&account=nobody")
    assert len(page.of(".panel[data-state=empty] .empty")) == 7
    assert tile(page, "cost") == "0"


def test_a_wrong_key_is_refused_in_words(whole: Stage) -> None:
    """And can be corrected; the browser's own note of the 401 is all that the console has."""
    page = whole.blank()
    page.page.goto(f"{whole.url}/dashboard#key=tm_0123456789abcdef_{'0' * 64}")
    page.until(lambda: page.of("[role=alert]"), "the refusal")
    assert "opens nothing here" in page.of("[role=alert]")[0]
    assert all("401" in one for one in whole.close())


def test_without_a_stream_the_page_asks_again_and_outages_are_told(whole: Stage) -> None:
    """Polling takes the stream's place; a panel whose question fails says so and can be asked again."""
    page = whole.blank()
    page.page.route("**/v1/stream*", lambda route: route.fulfill(status=404, body="{}"))
    problem = json.dumps({"title": "A server behind the API is away", "detail": "try again in a few seconds"})
    page.page.route("**/api/metering/runs?*", lambda route: route.fulfill(status=503, body=problem))
    page.page.goto(f"{whole.url}/dashboard?range=all#key={whole.operator}")
    page.settled()
    page.until(lambda: page.of(".live-word") == ["Every 10 s"], "polling")
    page.until(lambda: "Up to date" in page.of(".fresh")[0], "freshness without a stream")
    assert "A server behind the API is away" in page.of("#runs [role=alert]")[0]
    page.page.unroute("**/api/metering/runs?*")
    page.page.locator("#runs").get_by_role("button", name="Try again").click()
    page.until(lambda: page.names("runs"), "runs")
    assert all("404" in one or "503" in one for one in whole.close())
