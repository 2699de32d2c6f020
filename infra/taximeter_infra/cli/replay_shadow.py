"""`taximeter replay --shadow NAME`: build it, compare it, swap it in, swap it back."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer

from taximeter_infra.cli import context
from taximeter_infra.cli.failures import ExitCode
from taximeter_infra.cli.reach import open_clickhouse
from taximeter_infra.cli.replay_progress import progress
from taximeter_infra.cli.replay_run import log_of, opened, say_gone

if TYPE_CHECKING:
    from taximeter_consumers.replay.bulk import Plan
    from taximeter_consumers.shadow.catch_up import Caught
    from taximeter_consumers.shadow.database import Pair
    from taximeter_consumers.shadow.diff import Difference
    from taximeter_infra.cli.replay_options import Options
    from taximeter_schemas.settings import ClickHouseSettings

_MOST_SHOWN = 50


def run_shadow(options: Options, now: datetime) -> None:
    """Raises typer.Exit with code 3 where the shadow differs, and errors of ours."""
    from taximeter_consumers.shadow import database, swap

    settings, wish = context.clickhouse_settings(), options.shadow
    name = wish.name or ""
    database.shadow_settings(settings, name)
    # Where nobody answers that is said in seconds.
    open_clickhouse(settings, database="default").close()
    if wish.drop or wish.fresh:
        database.drop(settings, name)
    if wish.drop:
        typer.echo(f"the shadow {name} is dropped")
        return
    if wish.undo:
        with closing(database.open_pair(settings, name)) as pair:
            done = swap.swap(pair, swapped_in=False, say=_say)
        _told_swap(options, done.carried, f"the shadow {name} is swapped back; the former tables are live again")
        return
    with closing(database.make(settings, name, _migrated, wish.chosen_book(now))) as pair:
        finished = swap.recover(pair, _say)
        if finished and wish.swap:
            _told_live(options, pair, 0)
            return
        _build(options, now, pair)


def _build(options: Options, now: datetime, pair: Pair) -> None:
    from taximeter_consumers.replay.pace import Pace
    from taximeter_consumers.shadow.catch_up import Reading, catch_up, require_all

    registry, wish = context.registry(), options.shadow
    with opened(options, registry) as source:
        wanted = options.range.parsed(now)
        say_gone(source.spans(wanted))
        reading = Reading(source, log_of(options, source), wanted, registry, Pace(options.rate), progress)
        if options.chosen.dry_run:
            _tell_plan(options, reading.plan(pair))
            return
        caught = catch_up(pair, reading, copy_missing=wish.copy_missing)
    _after(options, pair, caught)
    if wish.swap:
        require_all(pair, caught)
        _swap(options, pair)


def _tell_plan(options: Options, todo: Plan) -> None:
    counted = {"messages": todo.offsets, "batches": todo.batches, "there_before": todo.there_before}
    told = f"{todo.offsets:,} messages in {todo.batches:,} batches to store, {todo.there_before:,} are there"
    typer.echo(json.dumps(counted, indent=2) if options.as_json else told)


def _after(options: Options, pair: Pair, caught: Caught) -> None:
    """Says what was built, and what differs."""
    from taximeter_consumers.shadow.diff import differences

    wish = options.shadow
    stored = caught.stored
    told: dict[str, Any] = {
        "shadow": pair.name,
        "stored": stored.records - stored.bad,
        "undecodable": stored.bad,
        "batches": stored.batches,
        "there_before": stored.there_before,
        "lacking": caught.lacking,
        "copied": caught.copied,
    }
    found = differences(pair) if wish.diff or wish.swap else None
    if options.as_json:
        if found is not None:
            told["differences"] = [one.as_json() for one in found]
        typer.echo(json.dumps(told, indent=2), err=wish.swap)
    else:
        _lines(pair, caught, found)
    if found and (not wish.swap or not wish.yes):
        if wish.swap:
            typer.echo("not swapped, because totals would change; add --yes if they are to", err=True)
        raise typer.Exit(ExitCode.CHECK_FAILED)


def _swap(options: Options, pair: Pair) -> None:
    from taximeter_consumers.shadow import swap

    _told_live(options, pair, swap.swap(pair, swapped_in=True, say=_say).carried)


def _told_live(options: Options, pair: Pair, carried: int) -> None:
    undo = f"taximeter replay --shadow {pair.name} --undo swaps back"
    _told_swap(options, carried, f"the shadow {pair.name} is live; {undo}")


def _lines(pair: Pair, caught: Caught, found: list[Difference] | None) -> None:
    stored = caught.stored
    typer.echo(
        f"shadow {pair.name}: {stored.records:,} messages stored in {stored.batches:,} batches,"
        f" {stored.there_before:,} batches were there, {stored.bad:,} messages undecodable"
    )
    if caught.copied:
        typer.echo(f"{caught.copied:,} batches that the source lacks were copied from the live table")
    if caught.lacking:
        typer.echo(f"{caught.lacking:,} batches of the live ledger are not in it: the source does not have them")
    if found is not None:
        typer.echo(_table(found))


def _table(found: list[Difference]) -> str:
    if not found:
        return "no difference: events, tokens and costs are equal for every account, model and day"
    lines = [f"{len(found):,} differences (live -> shadow):"]
    for one in found[:_MOST_SHOWN]:
        what = f"{one.provider}/{one.model}" if one.provider or one.model else "all use"
        tokens = tuple(side.input_tokens + side.output_tokens for side in (one.live, one.shadow))
        lines.append(
            f"  {one.account_id}  {one.day}  {what}: events {one.live.events:,} -> {one.shadow.events:,},"
            f" tokens {tokens[0]:,} -> {tokens[1]:,},"
            f" USD {one.live.cost_usd:f} -> {one.shadow.cost_usd:f} ({one.shadow.cost_usd - one.live.cost_usd:+f})"
        )
    if len(found) > _MOST_SHOWN:
        lines.append(f"  and {len(found) - _MOST_SHOWN:,} more; --json shows all")
    return "\n".join(lines)


def _told_swap(options: Options, carried: int, told: str) -> None:
    typer.echo(json.dumps({"swapped": True, "carried_over": carried}, indent=2) if options.as_json else told)


def _say(what: str) -> None:
    typer.echo(what, err=True)


def _migrated(settings: ClickHouseSettings) -> object:
    from taximeter_infra.migrate import migrate, single_server

    return migrate(settings, single_server())
