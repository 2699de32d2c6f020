"""`taximeter topics`: make the topics, or show them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from taximeter_infra.cli.failures import ExitCode, told_plainly
from taximeter_infra.cli.panels import Panel
from taximeter_infra.cli.reach import asking_kafka

if TYPE_CHECKING:
    from taximeter_infra.topics import TopicState

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object instead of text")]
topics = typer.Typer(no_args_is_help=True, help="Create the pipeline's Kafka topics, or show them as they are.")


@topics.command()
@told_plainly
def create(as_json: JsonOption = False) -> None:
    """Create the topics that are missing; what exists stays as it is.

    \b
    Examples:
      taximeter topics create
      TAXIMETER_TOPIC_PARTITIONS=48 taximeter topics create --json
    """
    from taximeter_infra.cli import context
    from taximeter_infra.topics import ensure_topics

    kafka = context.kafka_settings()
    with asking_kafka(kafka):
        report = ensure_topics(kafka, context.topic_settings())
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2))
        return
    for name in report.created:
        typer.echo(f"created {name}")
    for name in report.existing:
        typer.echo(f"{name} exists")
    for name, settings in report.refused.items():
        typer.echo(f"the broker refused {', '.join(settings)} of {name}; the topic has its defaults", err=True)


@topics.command()
@told_plainly
def describe(as_json: JsonOption = False) -> None:
    """Show partitions, records, time stamps and retention; exit code 1 when a topic is missing.

    \b
    Examples:
      taximeter topics describe
      taximeter topics describe --json
    """
    from taximeter_infra.cli import context
    from taximeter_infra.topics import describe_topics, wanted

    names = [spec.name for spec in wanted(context.topic_settings())]
    kafka = context.kafka_settings()
    with asking_kafka(kafka):
        states = describe_topics(kafka, context.topic_settings())
    missing = [name for name in names if name not in {state.name for state in states}]
    if as_json:
        typer.echo(json.dumps({"topics": [asdict(state) for state in states], "missing": missing}, indent=2))
    else:
        for state in states:
            typer.echo(
                f"{state.name}: {state.partitions} partitions, {state.records:,} records,"
                f" {state.timestamp_type}, {_kept(state)}"
            )
        for name in missing:
            typer.echo(f"{name} is missing; create it with `taximeter topics create`", err=True)
    if missing:
        raise typer.Exit(ExitCode.FAILURE)


def _kept(state: TopicState) -> str:
    return "the last of each key is kept" if state.cleanup_policy == "compact" else kept_for(state.retention_ms)


def kept_for(retention_ms: str) -> str:
    """Kafka's `retention.ms` for people."""
    if not retention_ms.isdecimal():
        return "kept for ever" if retention_ms == "-1" else f"retention {retention_ms}"
    hours = int(retention_ms) / 3_600_000
    return f"kept for {hours / 24:g} days" if hours >= 48 else f"kept for {hours:g} hours"


def register(app: typer.Typer) -> None:
    """Put these commands on the app."""
    app.add_typer(topics, name="topics", rich_help_panel=Panel.PIPELINE)
