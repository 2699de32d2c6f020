"""`taximeter topics`: make the topics, or show them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from taximeter_infra.cli.failures import ExitCode, told_plainly

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

    report = ensure_topics(context.kafka_settings(), context.topic_settings())
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
    states = describe_topics(context.kafka_settings(), context.topic_settings())
    missing = [name for name in names if name not in {state.name for state in states}]
    if as_json:
        typer.echo(json.dumps({"topics": [asdict(state) for state in states], "missing": missing}, indent=2))
    else:
        for state in states:
            typer.echo(
                f"{state.name}: {state.partitions} partitions, {state.records} records,"
                f" {state.timestamp_type}, retention {state.retention_ms} ms"
            )
        for name in missing:
            typer.echo(f"{name} is missing; create it with `taximeter topics create`", err=True)
    if missing:
        raise typer.Exit(ExitCode.FAILURE)


def register(app: typer.Typer) -> None:
    """Put these commands on the app."""
    app.add_typer(topics, name="topics")
