"""`taximeter schema`: does what runs fit the event's schema, put it into the registry, and what comes first."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taximeter_infra.cli.failures import ExitCode, told_plainly
from taximeter_infra.cli.panels import Panel
from taximeter_infra.cli.reach import asking_kafka, open_clickhouse

if TYPE_CHECKING:
    from taximeter_infra.evolving.facts import Arrivals, InRegistry, Tables, Unseen
    from taximeter_infra.evolving.findings import Finding
    from taximeter_infra.evolving.steps import Evolution, Step

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object instead of text")]
schema = typer.Typer(no_args_is_help=True, help="The event's schema: check it, register it, go to the next version.")


@schema.command()
@told_plainly
def check(as_json: JsonOption = False) -> None:
    """Hold the packaged schemas against the registry and the tables; exit code 1 where something does not fit.

    \b
    Examples:
      taximeter schema check
      SCHEMA_REGISTRY_URL=http://127.0.0.1:8081 taximeter schema check --json
    """
    from taximeter_infra.evolving import findings, look
    from taximeter_schemas import avro_files

    packaged = {version: avro_files.parsed(version) for version in avro_files.FROZEN}
    current = avro_files.CURRENT_VERSION
    registry = look.attempt(lambda: _in_registry(avro_files.text_of(current)))
    found = [
        *findings.of_packaged(packaged),
        *findings.of_registry(registry, packaged),
        *findings.of_tables(look.attempt(_tables), packaged[current]),
    ]
    wrong = [finding for finding in found if finding.level is findings.Level.WRONG]
    if as_json:
        typer.echo(json.dumps({"fits": not wrong, "findings": [asdict(finding) for finding in found]}, indent=2))
    else:
        for finding in found:
            _tell(finding, err=finding in wrong)
    if wrong:
        raise typer.Exit(ExitCode.FAILURE)


@schema.command("register")
@told_plainly
def register_current(as_json: JsonOption = False) -> None:
    """Put the current version into the registry, which is asked first whether it is compatible; prints its id.

    A version that is there already keeps its id.

    \b
    Examples:
      SCHEMA_REGISTRY_URL=http://127.0.0.1:8081 taximeter schema register
      SCHEMA_REGISTRY_URL=http://127.0.0.1:8081 taximeter schema register --json
    """
    from taximeter_infra.cli import context
    from taximeter_infra.evolving.findings import in_the_way
    from taximeter_infra.evolving.look import register_in
    from taximeter_schemas import avro_files
    from taximeter_schemas.errors import Misconfigured

    version = avro_files.CURRENT_VERSION
    text = avro_files.text_of(version)
    packaged = {number: avro_files.parsed(number) for number in avro_files.FROZEN}
    found = _in_registry(text)
    if found is None:
        raise Misconfigured(
            "no registry is set, so there is nothing to register: ids are the numbers of the packaged versions",
            mend="set SCHEMA_REGISTRY_URL",
        )
    for finding in in_the_way(found, packaged):
        raise Misconfigured(finding.said, mend=finding.mend)
    schema_id = register_in(context.registry_settings(), text)
    if as_json:
        typer.echo(json.dumps({"subject": found.subject, "version": version, "schema_id": schema_id}, indent=2))
    else:
        typer.echo(f"packaged version {version} has id {schema_id} under {found.subject}")


@schema.command()
@told_plainly
def evolve(
    file: Annotated[
        Path | None, typer.Argument(help="The next schema; without it, the version that this release writes")
    ] = None,
    records: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many of the topic's last to look at")] = 1_000,
    as_json: JsonOption = False,
) -> None:
    """Say whether the next version is safe, and how far each step to it is: columns, then all sinks, then producers.

    Exit code 1 where the change is unsafe, a later step has begun before an
    earlier one was done, or columns and sinks cannot be seen. Changes nothing.

    \b
    Examples:
      taximeter schema evolve
      taximeter schema evolve meter_event.v3.avsc
      taximeter schema evolve --records 20000 --json
    """
    from taximeter_infra.cli import context
    from taximeter_infra.evolving import look
    from taximeter_infra.evolving.steps import in_the_way

    kafka, topic = context.kafka_settings(), context.topic_settings().events

    def arrivals() -> Arrivals:
        with asking_kafka(kafka):
            return look.arrivals(kafka, topic, records)

    text = _text(file)
    evolution = _evolution(text, _in_registry(text), look.attempt(_tables), look.attempt(arrivals))
    refused, steps = evolution.refusals(), evolution.steps()
    if as_json:
        outcome = {"safe": not refused, "refused": [asdict(change) for change in refused]}
        outcome["changes"] = [asdict(change) for change in evolution.changes]
        outcome["steps"] = [] if refused else [asdict(step) for step in steps]
        typer.echo(json.dumps(outcome, indent=2))
    else:
        _tell_evolution(evolution, [] if refused else steps)
    if refused or in_the_way(steps):
        raise typer.Exit(ExitCode.FAILURE)


def register(app: typer.Typer) -> None:
    """Put these commands on the app."""
    app.add_typer(schema, name="schema", rich_help_panel=Panel.PIPELINE)


def _text(file: Path | None) -> str:
    from taximeter_schemas import avro_files
    from taximeter_schemas.errors import Misconfigured

    if file is None:
        return avro_files.text_of(avro_files.CURRENT_VERSION)
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{file} cannot be read: {error}", mend="name the file of the next schema") from error


def _in_registry(text: str) -> InRegistry | None:
    from taximeter_infra.cli import context
    from taximeter_infra.evolving import look

    return look.in_registry(context.registry_settings(), text)


def _tables() -> Tables:
    from taximeter_infra.cli import context
    from taximeter_infra.evolving import look

    settings = context.clickhouse_settings()
    # In its own database the question would fail where nothing was migrated yet.
    with closing(open_clickhouse(settings, database="default")) as server:
        return look.tables(server, settings.database)


def _evolution(
    text: str, registry: InRegistry | None, tables: Tables | Unseen, arrivals: Arrivals | Unseen
) -> Evolution:
    from importlib.metadata import version as release

    from taximeter_infra.evolving.steps import Evolution, ids_of, published_before
    from taximeter_schemas import avro_files, evolution

    packaged = {version: avro_files.parsed(version) for version in avro_files.FROZEN}
    candidate = evolution.parse(text)
    return Evolution(
        candidate,
        published_before(candidate, registry, packaged),
        release("taximeter"),
        ids_of(candidate, registry, packaged),
        tables,
        arrivals,
    )


def _tell(finding: Finding, *, err: bool) -> None:
    typer.echo(f"{finding.level.value:<5}  {finding.said}", err=err)
    if finding.mend:
        typer.echo(f"       mend: {finding.mend}", err=err)


def _tell_evolution(evolution: Evolution, steps: list[Step]) -> None:
    from taximeter_infra.evolving.steps import in_the_way

    for change in evolution.refusals():
        typer.echo(f"refused: {change.path} {change.said}", err=True)
    if not steps:
        return
    for change in evolution.changes:
        typer.echo(f"safe: {change.path} {change.said}")
    if not evolution.changes:
        typer.echo("nothing changes")
    hindrances = in_the_way(steps)
    for number, step in enumerate(steps, start=1):
        typer.echo(f"{number}. {step.title}: {step.state.value}\n   {step.said}", err=step in hindrances)
        if step.mend:
            typer.echo(f"   mend: {step.mend}", err=step in hindrances)
