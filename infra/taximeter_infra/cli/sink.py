"""`taximeter sink`: Kafka to ClickHouse, exactly once."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import Annotated

import typer

from taximeter_infra.cli.failures import told_plainly
from taximeter_infra.cli.panels import Panel
from taximeter_infra.cli.reach import asking_kafka, open_clickhouse
from taximeter_infra.cli.serving import MetricsOption, running


@told_plainly
def sink(
    until_caught_up: Annotated[
        bool, typer.Option("--until-caught-up", help="End when all that lies in the topic is stored")
    ] = False,
    group: Annotated[
        str | None, typer.Option(metavar="ID", help="The consumer group", show_default="TAXIMETER_SINK_GROUP_ID")
    ] = None,
    instance: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Static membership: a restart under the same id goes on at once"),
    ] = None,
    metrics: MetricsOption = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object at the end instead of text")] = False,
) -> None:
    """Store events in ClickHouse, each exactly once. Start as many as there are partitions; kill any at any time.

    Logs go to stderr, one line for each batch. What cannot be stored goes to
    the dead-letter topic with its reason.

    \b
    Examples:
      taximeter sink
      taximeter sink --until-caught-up --json
      taximeter sink --instance sink-1 --metrics 127.0.0.1:9101
      TAXIMETER_SINK_BATCH_ROWS=20000 TAXIMETER_SINK_MEMORY_BYTES=134217728 taximeter sink
    """
    from taximeter_consumers.sink.metrics import SinkMetrics
    from taximeter_consumers.sink.service import SinkEnvironment, run_sink
    from taximeter_consumers.sink.settings import SinkSettings
    from taximeter_infra.cli import context

    counted = SinkMetrics()
    with running("sink", metrics, counted.registry) as stop:
        given = {"group_id": group, "instance_id": instance}
        settings = context.settings_of(
            SinkSettings, {name: value for name, value in given.items() if value is not None}
        )
        environment = SinkEnvironment(
            context.kafka_settings(), context.clickhouse_settings(), context.registry(), context.topic_settings()
        )
        if until_caught_up:
            # Who waits for the end should not wait for servers that are not there; the service itself outlives outages.
            open_clickhouse(environment.clickhouse).close()
            with asking_kafka(environment.kafka):
                pass
        began = time.monotonic()
        counters = run_sink(environment, settings, stop, until_caught_up=until_caught_up, metrics=counted)
    seconds = round(time.monotonic() - began, 3)
    if as_json:
        typer.echo(json.dumps({**asdict(counters), "seconds": seconds}, indent=2))
        return
    typer.echo(
        f"stored {counters.records - counters.dead_lettered:,} events in {counters.batches:,} batches"
        f" in {seconds:.1f} s; {counters.dead_lettered:,} dead letters"
    )


def register(app: typer.Typer) -> None:
    """Put this command on the app."""
    app.command(short_help="Store events in ClickHouse, each exactly once.", rich_help_panel=Panel.PIPELINE)(sink)
