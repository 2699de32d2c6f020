"""The summary of all use, on the real engine: its parts make the whole, to the last digit."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from rich.console import Console
from tests.queries.use import EVENTS, filled, filled_settings
from tests.rollups.rows import EPOCH

from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.queries import Filter, UsageSummary, share, usage_summary
from taximeter_infra.cli.summary_view import show_summary

pytestmark = pytest.mark.integration
__all__ = ["filled", "filled_settings"]


def assert_whole(summary: UsageSummary) -> None:
    """Models, plugins, resources and what re-rating added to these are the cost; so are contexts, and so are days."""
    total = summary.total
    parts = (
        summary.models_cost_usd,
        total["plugin_cost_usd"],
        total["resource_cost_usd"],
        summary.other_adjusted_cost_usd,
    )
    assert sum(parts) == summary.cost_usd
    for rows in (summary.by_context, summary.by_day):
        for column, value in total.items():
            if column != "cost_source":
                assert sum(row[column] for row in rows if column in row) == (value if column in rows[0] else 0), column
    for column in ("ai_calls", "input_tokens", "output_tokens", "unpriced_calls", "model_cost_usd"):
        assert sum(row[column] for row in summary.by_model) == total[column], column


def test_the_parts_make_the_whole(filled: ClickHouse) -> None:
    """For all, for an account, for any time; every part has something in it."""
    whole = usage_summary(filled, Filter())
    assert_whole(whole)
    total = whole.total
    assert all(total[name] for name in ("plugin_cost_usd", "resource_cost_usd", "unpriced_calls", "unpriced_plugins"))
    assert whole.other_adjusted_cost_usd > 0
    assert total["adjusted_cost_usd"] > whole.other_adjusted_cost_usd
    assert (total["events"], total["cost_source"], len(whole.by_day)) == (EVENTS, "mixed", 3)
    assert {row["context"] for row in whole.by_context} == {"customer", "system"}
    for chosen in (
        Filter("acme-1"),
        Filter(since=EPOCH + timedelta(hours=5, minutes=13)),
        Filter("acme-0", EPOCH + timedelta(days=1), EPOCH + timedelta(days=1, hours=7, microseconds=1)),
    ):
        some = usage_summary(filled, chosen)
        assert_whole(some)
        assert 0 < some.cost_usd < whole.cost_usd


def test_an_hour_belongs_to_the_summary_it_begins_in(filled: ClickHouse) -> None:
    """So two summaries that meet within an hour share nothing and leave nothing out."""
    instant = EPOCH + timedelta(hours=30, minutes=25)
    parts = [usage_summary(filled, chosen) for chosen in (Filter(until=instant), Filter(since=instant))]
    assert sum(part.cost_usd for part in parts) == usage_summary(filled, Filter()).cost_usd
    assert parts[0].total["events"] == 31 * 6


def test_shares_say_how_much_is_a_guess(filled: ClickHouse) -> None:
    """Dollars of the cost for what is in it, calls of all calls for what is not."""
    summary = usage_summary(filled, Filter())
    total = summary.total
    assert summary.estimated_share == share(total["estimated_cost_usd"], total["cost_usd"])
    assert summary.reported_share == share(total["reported_cost_usd"], total["cost_usd"])
    assert summary.unpriced_share == share(total["unpriced_calls"], total["ai_calls"])
    assert summary.unmeasured_share == share(total["unmeasured_calls"], total["ai_calls"])
    assert 0 < (summary.estimated_share or 0) < 1
    assert share(1, 3) == Decimal("0.333333")
    assert share(1, 0) is None


def test_a_summary_of_nothing_is_zero(clickhouse: ClickHouse) -> None:
    """Zeros, no rows, no shares, and a word about what brings something in."""
    summary = usage_summary(clickhouse, Filter())
    assert (summary.cost_usd, summary.by_model, summary.by_day, summary.estimated_share) == (0, [], [], None)
    console = Console(file=io.StringIO(), width=200)
    show_summary(summary, console)
    assert "taximeter aggregate" in console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO above


def test_the_command_shows_it(filled: ClickHouse, report: Callable[..., str]) -> None:
    """JSON with exact costs as strings; a page for people that says what the sum lacks."""
    summary = usage_summary(filled, Filter("acme-1"))
    told = json.loads(report("summary", "--account", "acme-1", "--json"))
    assert Decimal(told["summary"]["cost_usd"]) == summary.cost_usd
    parts = ("models_cost_usd", "plugin_cost_usd", "resource_cost_usd", "other_adjusted_cost_usd")
    assert sum(Decimal(told["summary"][part]) for part in parts) == summary.cost_usd
    assert [day["day"] for day in told["by_day"]] == ["2026-11-01", "2026-11-02", "2026-11-03"]
    assert {"estimated_share", "unpriced_share", "unmeasured_share"} <= set(told["summary"])
    page = report("summary", "--account", "acme-1")
    for word in ("cost    ≥ ~$", "plugins $", "By model", "By context", "By day", "2026-11-02", "re-rating added"):
        assert word in page, word
    assert "have no price and are not in the sum" in page
