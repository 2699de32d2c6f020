"""How plans and their limits look in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from taximeter_infra.cli.report_view import wide_console
from taximeter_schemas.quota.wording import amount_of

if TYPE_CHECKING:
    from taximeter_consumers.quota.plans.plans import Limit, QuotaPlan


def show_table(plans: Iterable[tuple[QuotaPlan, Sequence[Limit]]]) -> None:
    """A line for each limit of each plan, its multiplier worked in; ended limits are left out."""
    from taximeter_consumers.quota.plans.plans import multiplied

    table = Table(box=None, pad_edge=False)
    for head in ("plan", "name", "limit", "amount", "meter", "over", "of each", "when used up"):
        table.add_column(head, justify="right" if head == "amount" else "left", overflow="fold")
    for plan, limits in plans:
        about = (plan.plan_id, f"{plan.name}{_times(plan.multiplier)}")
        counting = [limit for limit in limits if limit.amount is not None and limit.limits]
        for limit in counting:
            most = amount_of(multiplied(limit.amount or Decimal(0), plan.multiplier))
            of_each = limit.level if limit.level != limit.window.value else ""
            table.add_row(
                *map(escape, (*about, limit.limit_id, most, limit.meter, limit.window, of_each, _then(limit)))
            )
            about = ("", "")
        if not counting:
            table.add_row(*map(escape, (*about, "no limits")))
    wide_console().print(table)


def described(limit: Limit, multiplier: Decimal) -> str:
    """A limit in words: what counts, for whom, over what, and what happens."""
    from taximeter_consumers.quota.plans.plans import multiplied

    whom = f" of each {limit.level}" if limit.level and limit.level != limit.window.value else ""
    if limit.amount is None or not limit.limits:
        return f"{limit.meter}{whom} a {limit.window.value}: no limit"
    return (
        f"{amount_of(multiplied(limit.amount, multiplier))} {limit.meter}{whom} a {limit.window.value}, {_then(limit)}"
    )


def _times(multiplier: Decimal) -> str:
    return "" if multiplier == 1 else f", limits times {amount_of(multiplier)}"


def _then(limit: Limit) -> str:
    what = "only warns" if not limit.hard else f"degrades to {limit.degrade_to}" if limit.degrade_to else "stops"
    return f"{what}, open while the service is away" if limit.on_outage == "open" else what
