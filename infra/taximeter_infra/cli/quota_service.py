"""`taximeter quota service`: decides what may be used, in the order of the log."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import Annotated

import typer

from taximeter_infra.cli.failures import told_plainly
from taximeter_infra.cli.reach import asking_kafka
from taximeter_infra.cli.serving import MetricsOption, running


@told_plainly
def service(
    until_caught_up: Annotated[
        bool, typer.Option("--until-caught-up", help="End when all that lies in the topic is decided")
    ] = False,
    group: Annotated[
        str | None, typer.Option(metavar="ID", help="The consumer group", show_default="TAXIMETER_QUOTA_GROUP_ID")
    ] = None,
    instance: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Static membership: a restart under the same id goes on at once"),
    ] = None,
    tick_seconds: Annotated[
        float | None,
        typer.Option(
            min=0.05, help="How often ClickHouse is asked what was used", show_default="TAXIMETER_QUOTA_TICK_SECONDS"
        ),
    ] = None,
    metrics: MetricsOption = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object at the end instead of text")] = False,
) -> None:
    """Decide reservations, each exactly once. Start as many as there are partitions; kill any at any time.

    Logs go to stderr, one line of numbers every ten seconds. Without
    ClickHouse it goes on with what it knows; who needs more is told so.

    \b
    Examples:
      taximeter quota service
      taximeter quota service --instance quota-1 --metrics 127.0.0.1:9103
      taximeter quota service --until-caught-up --json
    """
    from taximeter_consumers.quota.service.metrics import QuotaMetrics
    from taximeter_consumers.quota.service.service import QuotaEnvironment, run_service
    from taximeter_consumers.quota.service.settings import QuotaSettings
    from taximeter_infra.cli import context

    counted = QuotaMetrics()
    with running("quota", metrics, counted.registry) as stop:
        given = {"group_id": group, "instance_id": instance, "tick_seconds": tick_seconds}
        settings = context.settings_of(
            QuotaSettings, {name: value for name, value in given.items() if value is not None}
        )
        environment = QuotaEnvironment(
            context.kafka_settings(), context.clickhouse_settings(), context.topic_settings()
        )
        if until_caught_up:
            # Who waits for the end should not wait for servers that are not there; the service itself outlives outages.
            with asking_kafka(environment.kafka):
                pass
        began = time.monotonic()
        counters = run_service(environment, settings, stop, until_caught_up=until_caught_up, counters=counted.counters)
    seconds = round(time.monotonic() - began, 3)
    if as_json:
        typer.echo(json.dumps({**asdict(counters), "seconds": seconds}, indent=2, default=str))
        return
    passed_by = f"; {counters.poison:,} records were no commands" if counters.poison else ""
    typer.echo(f"decided {counters.commands:,} commands in {seconds:.1f} s{passed_by}")


def register(app: typer.Typer) -> None:
    """Put this command on `taximeter quota`."""
    app.command(short_help="Decide reservations, each exactly once.")(service)
