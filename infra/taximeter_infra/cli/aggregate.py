"""`taximeter aggregate`: events become cost rollups, once or on and on."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taximeter_infra.cli.failures import told_plainly
from taximeter_infra.cli.panels import Panel
from taximeter_infra.cli.reach import open_clickhouse
from taximeter_infra.cli.serving import MetricsOption, running

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse


@told_plainly
def aggregate(
    follow: Annotated[bool, typer.Option("--follow", help="Go on until stopped by Ctrl-C or SIGTERM")] = False,
    interval: Annotated[float, typer.Option(min=0.05, help="Seconds between looks, with --follow")] = 1.0,
    rebuild: Annotated[
        bool,
        typer.Option("--rebuild", help="Recompute everything from all events; new prices do not need it"),
    ] = False,
    metrics: MetricsOption = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of lines for people")] = False,
) -> None:
    """Bring the cost rollups up to date with the stored events.

    Without options it works until nothing is new, and says what it did. Doing
    it again changes nothing.

    \b
    Examples:
      taximeter aggregate
      taximeter aggregate --follow --interval 5 --metrics 127.0.0.1:9102
      taximeter aggregate --rebuild --json
    """
    from taximeter_consumers.pricing.sync import load_book
    from taximeter_infra.cli.context import clickhouse_settings

    if follow and (rebuild or as_json):
        raise typer.BadParameter("--follow goes with neither --rebuild nor --json")
    # A rebuild step may take longer than an ordinary statement.
    with closing(open_clickhouse(clickhouse_settings(), timeout_seconds=600)) as clickhouse:
        rates = load_book(clickhouse)
        if follow:
            _follow(clickhouse, interval, metrics)
            return
        done = {"rates_added": rates, **(_rebuild(clickhouse) if rebuild else _catch_up(clickhouse))}
        typer.echo(json.dumps(done, indent=2) if as_json else _told(done))


def register(app: typer.Typer) -> None:
    """Put this command on the app."""
    app.command(short_help="Bring the cost rollups up to date.", rich_help_panel=Panel.PIPELINE)(aggregate)


def _catch_up(clickhouse: ClickHouse) -> dict[str, Any]:
    from taximeter_consumers.rollups import rollup_lag_seconds, tick

    ticks = batches = records = models = 0
    while (done := tick(clickhouse)).version is not None:
        ticks, batches, records = ticks + 1, batches + done.batches, records + done.records
        models += done.models_matched
    return {
        "ticks": ticks,
        "batches": batches,
        "records": records,
        "models_matched": models,
        "rollup_lag_seconds": rollup_lag_seconds(clickhouse),
    }


def _rebuild(clickhouse: ClickHouse) -> dict[str, Any]:
    from taximeter_consumers.rollups import rebuild

    return {"rebuilt": True, **asdict(rebuild(clickhouse))}


def _follow(clickhouse: ClickHouse, interval: float, metrics: str) -> None:
    from taximeter_consumers.rollups import follow
    from taximeter_consumers.rollups.metrics import RollupMetrics

    counted = RollupMetrics() if metrics else None
    with running("aggregator", metrics, counted.registry if counted else None) as stop:
        follow(clickhouse, stop, interval, counted=counted)


def _told(done: dict[str, Any]) -> str:
    prices = f"price book: {done['rates_added']} rates added\n" if done["rates_added"] else ""
    if done.get("rebuilt"):
        return f"{prices}rebuilt from {done['batches']:,} batches with {done['records']:,} records"
    if not done["ticks"]:
        return f"{prices}nothing new"
    ticks = "1 tick" if done["ticks"] == 1 else f"{done['ticks']} ticks"
    return f"{prices}rolled up {done['records']:,} records of {done['batches']:,} batches in {ticks}"
