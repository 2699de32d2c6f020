"""How the summary of all use looks: what it comes to, what that lacks, then by model, context and day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from taximeter_infra.cli.report_view import FILL, show_table, wide_console
from taximeter_infra.cli.report_words import RESOURCES, cost, dollars, footnotes, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taximeter_consumers.queries import Row, UsageSummary

_MODELS = 20
_DAYS = 31


def show_summary(summary: UsageSummary, console: Console | None = None) -> None:
    """The summary for people; what is cut is told and is in the JSON."""
    console = console or wide_console()
    if not summary.total["events"]:
        console.print(f"nothing in the rollups; {FILL}", highlight=False)
        return
    for line in headline(summary):
        console.print(line, highlight=False, markup=False)
    _show("by_model", summary.by_model[:_MODELS], len(summary.by_model), console)
    _show("by_context", summary.by_context, len(summary.by_context), console)
    _show("by_day", summary.by_day[-_DAYS:], len(summary.by_day), console)


def headline(summary: UsageSummary) -> list[str]:
    """Cost with its parts, tokens, calls, and what the cost does not say."""
    total = summary.total
    made = {
        "models": summary.models_cost_usd,
        "plugins": total["plugin_cost_usd"],
        RESOURCES: total["resource_cost_usd"],
        "re-rating of plugins and resources": summary.other_adjusted_cost_usd,
    }
    known = [f"{name} {dollars(amount)}" for name, amount in made.items() if amount]
    lines = [
        f"cost    {cost(total)}" + (f" ({', '.join(known)})" if len(known) > 1 else ""),
        f"tokens  {total['input_tokens']:,} in, {total['output_tokens']:,} out",
        f"calls   {total['ai_calls']:,}",
    ]
    if total["reported_cost_usd"]:
        told = percent(total["reported_cost_usd"], summary.cost_usd)
        lines.append(f"{dollars(total['reported_cost_usd'])} ({told}) of the sum was stated by providers")
    return [*lines, *footnotes([total])]


def _show(name: str, rows: Sequence[Row], of: int, console: Console) -> None:
    if not rows:
        return
    which = "newest" if name == "by_day" else "dearest"
    more = f" (the {which} {len(rows)} of {of}; --json has all)" if len(rows) < of else ""
    console.print(f"\n[bold]{name.replace('_', ' ').capitalize()}[/bold]{more}", highlight=False)
    show_table(name, rows, console)
