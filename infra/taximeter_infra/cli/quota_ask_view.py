"""How the answers of the quota service look in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import typer
from rich.markup import escape
from rich.table import Table

from taximeter_infra.cli.report_view import wide_console
from taximeter_schemas.quota.answers import Answer, Standing, Status
from taximeter_schemas.quota.wording import amount_of, explained, moment_of


def show_standings(answer: Answer) -> None:
    """Each limit, what is held, and by how much the leases of gates bound what can be overdrawn."""
    if not answer.standings:
        typer.echo("nothing is limited here; a plan does that: `taximeter quota assign PLAN --account ID`")
    else:
        heads = ("level", "limit", "used", "held", "leased", "of", "remaining", "percent", "resets")
        table = plain_table(heads, left=2)
        for standing in answer.standings:
            table.add_row(*map(escape, _cells(standing)))
        wide_console().print(table)
        _show_bound(answer.standings)
    claiming = [hold for hold in answer.holds if hold.state in ("open", "expired")]
    for hold in claiming:
        what = f"{hold.kind} {hold.hold_id}, {hold.state}: {_told(hold.amounts)}, until {moment_of(hold.expires_at)}"
        typer.echo(
            f"{what}{f', run {hold.run_id}' if hold.run_id else ''}{f', of {hold.parent}' if hold.parent else ''}"
        )
    if len(answer.holds) > len(claiming):
        over = len(answer.holds) - len(claiming)
        typer.echo(
            f"{over:,} closed {'hold is' if over == 1 else 'holds are'} part of what is used: not all events are in yet"
        )
    if answer.reason:
        typer.echo(answer.reason)
    if answer.as_of:
        typer.echo(f"ClickHouse last told of a change at {moment_of(answer.as_of)}")


def as_object(answer: Answer) -> dict[str, Any]:
    """The answer as JSON values: what was not said is left out, percent is put beside each limit."""
    shown: dict[str, Any] = answer.model_dump(mode="json", exclude_defaults=True)
    if answer.status is Status.SHOWN:
        shown["standings"] = [{**one.model_dump(mode="json"), "percent": str(one.percent)} for one in answer.standings]
        shown["holds"] = [one.model_dump(mode="json") for one in answer.holds]
    return shown


def _cells(standing: Standing) -> tuple[str, ...]:
    kind = "hard" if standing.hard else "soft"
    if standing.hard and standing.action == "degrade":
        kind = "degrade"
    resets = "with the run" if standing.resets_at is None else moment_of(standing.resets_at)
    amounts = (standing.used, standing.held, standing.leased, standing.limit + standing.added, standing.remaining)
    shown = f"{standing.meter} a {standing.window}, {kind}"
    return (standing.level, shown, *map(amount_of, amounts), f"{standing.percent} %", resets)


def _show_bound(standings: Iterable[Standing]) -> None:
    """All that gates hold is counted as held; it is what they can still give out while nobody answers them."""
    for standing in standings:
        if standing.leased:
            typer.echo(
                f"bound on overshoot of {standing.level}, {standing.meter}: 0 while gates settle in time;"
                f" {amount_of(standing.leased)} are leased and can be used without asking"
            )
        if standing.lacking:
            typer.echo(f"{standing.level}: {standing.lacking:,} calls without a known price or use are not in it")


def show_check(answer: Answer) -> None:
    """That it could be reserved."""
    typer.echo("it could be reserved now" if not answer.degrade_to else f"it could, as {answer.degrade_to}")
    _show_warnings(answer)


def show_hold(answer: Answer) -> None:
    """What is held, and by which name."""
    typer.echo(f"{answer.status}: {_told(answer.amounts)} held until {moment_of(answer.expires_at)}")
    if answer.degrade_to:
        typer.echo(f"do it as: {answer.degrade_to}")
    typer.echo(f"hold: {answer.hold_id}")
    typer.echo(f"events of the work carry transaction_id {answer.transaction_id}")
    _show_warnings(answer)


def _show_warnings(answer: Answer) -> None:
    for standing in answer.warnings:
        typer.echo(f"over a soft limit: {explained(standing)}", err=True)


def show_settled(answer: Answer) -> None:
    """What became of the hold."""
    typer.echo(f"{answer.status}: {answer.hold_id}")


def show_released(answer: Answer) -> None:
    """That it was given back, or that nothing was, because somebody had said before what was used."""
    if answer.status is Status.SETTLED:
        typer.echo(f"nothing is given back: {answer.hold_id} was confirmed before")
    else:
        show_settled(answer)


def _told(amounts: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{amount_of(amount)} {meter}" for meter, amount in amounts.items())


def plain_table(heads: tuple[str, ...], left: int) -> Table:
    table = Table(box=None, pad_edge=False)
    for place, head in enumerate(heads):
        table.add_column(head, justify="left" if place < left else "right", overflow="fold")
    return table
