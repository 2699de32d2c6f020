"""SQL files of this package, with the columns that many of them share."""

from __future__ import annotations

from functools import cache
from importlib import resources
from string import Template
from typing import Final

from taximeter_consumers.pricing.charged import SETTINGS

EXACT: Final = ", ".join(
    f"{name} = {value}"
    for name, value in {
        # Indexes may narrow what is read, and FINAL still sees every copy of an event.
        "use_skip_indexes_if_final": 1,
        "use_skip_indexes_if_final_exact_mode": 1,
        "optimize_move_to_prewhere_if_final": 0,
        "do_not_merge_across_partitions_select_final": 1,
        **SETTINGS,
    }.items()
)
"""Settings of a query over priced events: the ones that the rollups are made with, but for indexes."""

OUTCOMES: Final = ("successes", "errors", "timeouts", "cancellations")
USED: Final = (
    "executions", "duration_us", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens",
    "reasoning_tokens", "total_tokens", "http_requests", "http_bytes_out", "http_bytes_in", "http_errors",
    "plugin_invocations", "cpu_us",
)  # fmt: skip
FURTHER: Final = ("audio_ms", "characters", "images", "custom_units", "ai_units", "max_rss_bytes")
COST: Final = (
    "cost_usd", "cost_source", "model_cost_usd", "plugin_cost_usd", "resource_cost_usd", "adjusted_cost_usd",
    "reported_cost_usd", "estimated_cost_usd", "ai_calls", "reported_calls", "priced_calls", "unpriced_calls",
    "unmeasured_calls", "estimated_calls", "plugin_uses", "unpriced_plugins",
)  # fmt: skip
SPENT: Final = ("useful_cost_usd", "retried_cost_usd", "failed_cost_usd", "cancelled_cost_usd", "wasted_cost_usd")


def text(name: str, package: str = "taximeter_consumers.api.reads", **parts: str) -> str:
    """The SQL file of a name, `$` placeholders filled. Parts are our own SQL, never anything from outside."""
    return _template(name, package).substitute(parts)


def account_is(account: str) -> str:
    """The condition on `account_id`; all of them where none is named. Written out, so that the primary key is used."""
    return "account_id = {account:String}" if account else "true"


@cache
def _template(name: str, package: str) -> Template:
    return Template((resources.files(package) / f"{name}.sql").read_text(encoding="utf-8").rstrip("\n"))
