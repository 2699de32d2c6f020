"""Runs, sums and usage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from taximeter.client.answers.runs import RunsPage, RunTree
from taximeter.client.answers.usage import Summary, UsagePage, UsageSummary
from taximeter.client.call import Call, as_model, get

if TYPE_CHECKING:
    from taximeter.client.asked import RunsPageWords, SummaryWords, UsageFilter, UsagePageWords


def read_run(run_id: str, *, account_id: str | None = None, attempts: bool = True) -> Call[RunTree]:
    """One run as a tree of sub-runs, nodes and attempts. `attempts=False` leaves those out.

    Raises NotFound, and Conflict where two accounts have a run of this id and an operator names none.
    """
    words = {"account_id": account_id, "attempts": attempts}
    return get("/api/metering/runs/{runId}", as_model(RunTree), words, runId=run_id)


def runs_page(**words: Unpack[RunsPageWords]) -> Call[RunsPage]:
    """One page of runs with their cost and use, the latest or the dearest first."""
    return get("/api/metering/runs", as_model(RunsPage), words)


def summarise(**words: Unpack[SummaryWords]) -> Call[Summary]:
    """Cost and use, grouped by up to four dimensions and by hour, day or month of UTC."""
    return get("/api/metering/summary", as_model(Summary), words)


def usage_page(**words: Unpack[UsagePageWords]) -> Call[UsagePage]:
    """One page of usage, the newest first; `summary=True` adds the sums of all pages."""
    return get("/v1/usage", as_model(UsagePage), words)


def sum_usage(**words: Unpack[UsageFilter]) -> Call[UsageSummary]:
    """Total cost and tokens, by model and by context, beside what they lack."""
    return get("/v1/usage/summary", as_model(UsageSummary), words)
