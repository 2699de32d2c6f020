"""How a re-rating is shown: by account, model and run, and on which invoice it comes. Decimals exact in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape
from rich.table import Table

from taximeter_infra.cli.report_view import wide_console
from taximeter_schemas.money import plain, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taximeter_consumers.reprice import Order, Outcome
    from taximeter_consumers.reprice.summary import Total

Issued = set[tuple[str, str]]
"""(account, billing period) that have an invoice."""


def as_object(order: Order, done: Outcome, issued: Issued, top: int) -> dict[str, Any]:
    """The outcome for `--json`."""
    summary = done.summary
    return {
        "reprice_id": done.reprice_id or None,
        "from": order.since.isoformat(),
        "to": order.until.isoformat(),
        "account": order.account_id or None,
        "old_book": str(done.old_book),
        "new_book": str(done.new_book),
        "total": _total(summary.total),
        "accounts": [{"account_id": account, **_total(one)} for account, one in sorted(summary.accounts.items())],
        "models": [
            {"account_id": account, "provider": provider, "model": model, **_total(one)}
            for (account, provider, model), one in sorted(summary.models.items())
        ],
        "periods": [
            {"account_id": account, "period": period, "invoiced": (account, period) in issued, **_total(one)}
            for (account, period), one in sorted(summary.periods.items())
        ],
        "runs": [
            {"account_id": account, "run_id": run, **_total(one)} for (account, run), one in summary.largest_runs(top)
        ],
    }


def show(order: Order, done: Outcome, issued: Issued, top: int) -> None:
    """The outcome for people."""
    summary = done.summary
    covered = f"{order.since:%Y-%m-%d %H:%M} to {order.until:%Y-%m-%d %H:%M} UTC"
    if not summary.total.events:
        typer.echo(f"nothing changes from {covered}: every use costs by the book of now what it was counted at")
        return
    models = ((*key, one) for key, one in sorted(summary.models.items()))
    _print(("account", "provider", "model"), models)
    periods = (
        (*key, "invoiced: comes on the next invoice" if key in issued else "open", one)
        for key, one in sorted(summary.periods.items())
    )
    _print(("account", "billing period", "its invoice"), periods)
    if top:
        runs = ((*key, one) for key, one in summary.largest_runs(top))
        _print(("account", "run"), runs)
    total = summary.total
    typer.echo(
        f"{total.events:,} uses from {covered}: {shown(total.old_usd)} becomes"
        f" {shown(total.old_usd + total.amount_usd)}, {_signed(total)}"
        f" (price book {done.old_book:x} to {done.new_book:x})"
    )
    if done.reprice_id:
        typer.echo(f"written as {done.reprice_id}, and in the rollups")


def _print(headings: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading)
    for heading in ("uses", "was", "difference"):
        table.add_column(heading, justify="right")
    for *words, one in rows:
        table.add_row(*(escape(word) for word in words), f"{one.events:,}", shown(one.old_usd), _signed(one))
    wide_console().print(table)
    typer.echo()


def _signed(one: Total) -> str:
    return f"{'+' if one.amount_usd >= 0 else '-'}{shown(abs(one.amount_usd))}"


def _total(one: Total) -> dict[str, Any]:
    return {"events": one.events, "old_usd": plain(one.old_usd), "difference_usd": plain(one.amount_usd)}
