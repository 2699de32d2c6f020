"""`cost_source` and `wasted_cost_usd` of a row: the rules of the rollups' views, for rows from elsewhere. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from taximeter_consumers.billing.amounts import total

if TYPE_CHECKING:
    from collections.abc import Mapping


def cost_source(row: Mapping[str, Any]) -> str:
    """How the cost of a row with these counts is known."""
    calls = row["reported_calls"] + row["priced_calls"] + row["unpriced_calls"] + row["unmeasured_calls"]
    lacking = row["unpriced_calls"] + row["unmeasured_calls"] + row["unpriced_plugins"]
    if calls + row["plugin_uses"] == 0:
        return "priced" if row["cost_usd"] else "none"
    if lacking == row["ai_calls"] + row["plugin_uses"] and not row["cost_usd"]:
        return "unpriced"
    if lacking:
        return "mixed"
    if not row["reported_calls"]:
        return "priced"
    return "mixed" if row["priced_calls"] + row["plugin_uses"] or row["resource_cost_usd"] else "reported"


def with_cost_words(row: dict[str, Any]) -> dict[str, Any]:
    """The row with what its view adds."""
    wasted = total([row["retried_cost_usd"], row["failed_cost_usd"], row["cancelled_cost_usd"]])
    return {**row, "cost_source": cost_source(row), "wasted_cost_usd": wasted}
