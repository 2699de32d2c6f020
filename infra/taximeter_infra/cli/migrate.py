"""`taximeter migrate`: tables and views of ClickHouse, and the first price book."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from taximeter_infra.cli.failures import told_plainly
from taximeter_infra.cli.panels import Panel
from taximeter_infra.cli.reach import open_clickhouse


@told_plainly
def migrate(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be applied, and apply nothing")] = False,
    cluster: Annotated[
        str | None, typer.Option(metavar="NAME", help="On this cluster of remote_servers; see docs/scaling.md")
    ] = None,
    printed: Annotated[bool, typer.Option("--print", help="Write the SQL to stdout, and ask no server")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text")] = False,
) -> None:
    """Create or update the database; what was applied before is left alone. Then load the price book's new rates and
    the example plans of quotas.

    \b
    Examples:
      taximeter migrate
      taximeter migrate --dry-run --json
      CLICKHOUSE_URL=https://user:password@ch.internal:8443 taximeter migrate --cluster main
      taximeter migrate --cluster main --print > schema.sql
    """
    from taximeter_consumers.pricing.sync import load_book
    from taximeter_consumers.quota.plans.setting_rows import load_shipped_plans
    from taximeter_infra import cluster_migrate
    from taximeter_infra import migrate as migrations
    from taximeter_infra.cli import context
    from taximeter_infra.cluster import ClusterLayout

    settings = context.clickhouse_settings()
    layout = None if cluster is None else ClusterLayout(cluster, settings.database)
    one = migrations.single_server()
    if printed:
        typer.echo(migrations.script(settings.database, one) if layout is None else cluster_migrate.script(layout))
        return
    open_clickhouse(settings, database="default").close()
    if layout is None:
        applied = migrations.migrate(settings, one, dry_run=dry_run)
    else:
        applied = cluster_migrate.migrate_cluster(settings, layout, dry_run=dry_run)
    rates, plans = 0, 0
    if not dry_run:
        clickhouse = open_clickhouse(settings)
        try:
            rates, plans = load_book(clickhouse), load_shipped_plans(clickhouse)
        finally:
            clickhouse.close()
    names = [migration.name for migration in applied]
    if as_json:
        outcome = {"database": settings.database, "dry_run": dry_run, "migrations": names, "rates_added": rates}
        outcome["plans_added"] = plans
        typer.echo(json.dumps(outcome, indent=2))
        return
    for name in names:
        typer.echo(f"{'would apply' if dry_run else 'applied'} {name}")
    if not names:
        typer.echo(f"{settings.database} is up to date")
    if rates:
        typer.echo(f"added {rates} rates to the price book")
    if plans:
        typer.echo(f"added {plans} example plans: taximeter quota plans")


def register(app: typer.Typer) -> None:
    """Put this command on the app."""
    app.command(
        short_help="Create or update the tables of ClickHouse and the price book.", rich_help_panel=Panel.PIPELINE
    )(migrate)
