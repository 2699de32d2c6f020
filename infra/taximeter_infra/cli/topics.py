"""`taximeter topics`: make the topics, set them right, or show them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from taximeter_infra.cli.failures import ExitCode, told_plainly
from taximeter_infra.cli.panels import Panel
from taximeter_infra.cli.reach import asking_kafka

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taximeter_infra.topic_settings import Difference
    from taximeter_infra.topics import TopicsReport, TopicState
    from taximeter_schemas.settings import KafkaSettings, TopicSettings

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object instead of text")]


@dataclass(frozen=True)
class Allowed:
    """What `--yes` and `--shrink` allow."""

    yes: bool
    shrink: tuple[str, ...]


topics = typer.Typer(no_args_is_help=True, help="Create the pipeline's Kafka topics, set them right, or show them.")


@topics.command()
@told_plainly
def create(
    replication_factor: Annotated[
        int | None, typer.Option(min=1, max=100, help="Replicas of a new topic [TAXIMETER_TOPIC_REPLICATION_FACTOR]")
    ] = None,
    min_insync_replicas: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Replicas that must have a record [TAXIMETER_TOPIC_MIN_INSYNC_REPLICAS]"),
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Also set what differs on topics that exist")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="With --apply: even where it may delete records or hold up writers")
    ] = False,
    shrink: Annotated[
        list[str] | None,
        typer.Option(metavar="TOPIC", help="With --yes: also bring down what this topic has more of (repeatable)"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Create the topics that are missing; what exists stays as it is, unless --apply is given.

    --apply sets the settings that fall short and, if
    TAXIMETER_TOPIC_PARTITIONS is set, adds partitions to the events topic.
    It says beforehand what it will set. Another way of cleaning up, which
    may delete records, and as many replicas in sync as there are want --yes.
    What a topic has more of, such as a longer retention, stays, unless the
    topic is named with --shrink beside --yes.

    \b
    Examples:
      taximeter topics create
      TAXIMETER_TOPIC_PARTITIONS=48 taximeter topics create --json
      taximeter topics create --replication-factor 3 --min-insync-replicas 2
      TAXIMETER_TOPIC_RETENTION_HOURS=336 taximeter topics create --apply
      taximeter topics create --apply --yes --shrink metering.events
    """
    from taximeter_infra.cli import context
    from taximeter_infra.topics import ensure_topics

    if yes and not apply:
        raise typer.BadParameter("--yes allows what --apply would leave; alone it says nothing")
    if shrink and not yes:
        raise typer.BadParameter("--shrink may delete records; it wants --apply --yes beside it")
    given = {"replication_factor": replication_factor, "min_insync_replicas": min_insync_replicas}
    settings = context.topic_settings().model_copy(update={key: n for key, n in given.items() if n is not None})
    _check_names(shrink or (), settings)
    kafka = context.kafka_settings()
    with asking_kafka(kafka):
        report = ensure_topics(kafka, settings)
    if not as_json:
        _tell_created(report)
    done, left = _applied(kafka, settings, Allowed(yes, tuple(shrink or ())), as_json) if apply else ([], [])
    if as_json:
        told = report.as_json()
        if apply:
            told |= {"applied": [asdict(one) for one in done], "left": [asdict(one) for one in left]}
        typer.echo(json.dumps(told, indent=2))
    else:
        for one in done:
            typer.echo(f"set {one.setting} of {one.topic} to {one.value} (was {one.found})")
        _tell_differences(left)
    if any(one.matters for one in left):
        raise typer.Exit(ExitCode.FAILURE)


@topics.command()
@told_plainly
def describe(as_json: JsonOption = False) -> None:
    """Show partitions, records, time stamps, retention and what is not as it should be.

    Exit code 1 when a topic is missing, or differs in a way that may cost
    events, answers or money.

    \b
    Examples:
      taximeter topics describe
      taximeter topics describe --json
    """
    from taximeter_infra.cli import context
    from taximeter_infra.topic_changes import look

    kafka, settings = context.kafka_settings(), context.topic_settings()
    with asking_kafka(kafka):
        states, missing, found = look(kafka, settings)
    if as_json:
        shown = {"topics": [_as_json(state) for state in states], "missing": missing}
        typer.echo(json.dumps(shown | {"differences": [asdict(one) for one in found]}, indent=2))
    else:
        for state in states:
            typer.echo(
                f"{state.name}: {state.partitions} partitions, {state.records:,} records,"
                f" {state.timestamp_type}, {_kept(state)}, {_copies(state)}"
            )
        for name in missing:
            typer.echo(f"{name} is missing; create it with `taximeter topics create`", err=True)
        _tell_differences(found)
    if missing or any(one.matters for one in found):
        raise typer.Exit(ExitCode.FAILURE)


def _check_names(names: Sequence[str], settings: TopicSettings) -> None:
    from taximeter_infra.topics import wanted

    known = [spec.name for spec in wanted(settings)]
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"--shrink {name}: there is no such topic here, only {', '.join(known)}")


def _applied(
    kafka: KafkaSettings, settings: TopicSettings, allowed: Allowed, as_json: bool
) -> tuple[list[Difference], list[Difference]]:
    """What was set, and what differs after it. Beforehand it is said; with `--json` on standard error."""
    from taximeter_infra.topic_changes import change, differences_of, left_after
    from taximeter_infra.topic_settings import to_apply

    found = differences_of(kafka, settings)
    chosen = to_apply(found, yes=allowed.yes, shrink=allowed.shrink)
    if not chosen:
        return [], found
    for one in chosen:
        warning = f"; {one.warning}" if one.warning else ""
        typer.echo(f"will set {one.setting} of {one.topic} to {one.value} (is {one.found}){warning}", err=as_json)
    change(kafka, chosen)
    return chosen, left_after(kafka, settings, chosen)


def _as_json(state: TopicState) -> dict[str, object]:
    return {
        "name": state.name,
        "partitions": state.partitions,
        "records": state.records,
        "timestamp_type": state.timestamp_type,
        "retention_ms": state.retention_ms,
        "cleanup_policy": state.cleanup_policy,
        "replication_factor": state.replication_factor,
        "min_insync_replicas": state.config.get("min.insync.replicas", "unknown"),
    }


def _tell_created(report: TopicsReport) -> None:
    for name in report.created:
        typer.echo(f"created {name}")
    for name in report.existing:
        typer.echo(f"{name} exists")
    for name, settings in report.refused.items():
        typer.echo(f"the broker refused {', '.join(settings)} of {name}; the topic has its defaults", err=True)


def _tell_differences(found: Sequence[Difference]) -> None:
    for one in found:
        typer.echo(f"{'differs' if one.matters else 'note'}: {one.said}", err=one.matters)
        if one.mend:
            typer.echo(f"  mend: {one.mend}", err=one.matters)


def _copies(state: TopicState) -> str:
    return "1 replica" if state.replication_factor == 1 else f"{state.replication_factor} replicas"


def _kept(state: TopicState) -> str:
    return "the last of each key is kept" if state.cleanup_policy == "compact" else kept_for(state.retention_ms)


def kept_for(retention_ms: str) -> str:
    """Kafka's `retention.ms` for people."""
    if not retention_ms.isdecimal():
        return "kept for ever" if retention_ms == "-1" else f"retention {retention_ms}"
    hours = int(retention_ms) / 3_600_000
    if hours < 1:
        return f"kept for {hours * 60:g} minutes"
    return f"kept for {hours / 24:g} days" if hours >= 48 else f"kept for {hours:g} hours"


def register(app: typer.Typer) -> None:
    """Put these commands on the app."""
    app.add_typer(topics, name="topics", rich_help_panel=Panel.PIPELINE)
