"""`taximeter replay`: a range of a topic again, to standard output, a file or another topic."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taximeter_infra.cli.failures import ExitCode, told_plainly
from taximeter_infra.cli.moments import parse_moment
from taximeter_infra.cli.panels import Panel
from taximeter_infra.cli.reach import asking_kafka

if TYPE_CHECKING:
    from taximeter_consumers.replay.destinations import Destination
    from taximeter_consumers.replay.replay import Outcome
    from taximeter_consumers.replay.topic_range import Offsets, Span
    from taximeter_schemas.settings import KafkaSettings

OffsetOption = Annotated[
    list[str] | None,
    typer.Option(metavar="[PARTITION:]OFFSET", help="For all partitions, or for one; may be given again"),
]
TimeOption = Annotated[str | None, typer.Option(metavar="TIME", help="ISO 8601, or how long ago: 90s, 15m, 2h, 7d")]


@told_plainly
def replay(
    from_offset: OffsetOption = None,
    to_offset: OffsetOption = None,
    since: TimeOption = None,
    until: TimeOption = None,
    partition: Annotated[list[int] | None, typer.Option(help="Only this partition; may be given again")] = None,
    run: Annotated[list[str] | None, typer.Option(metavar="RUN_ID", help="Only this run; may be given again")] = None,
    account: Annotated[list[str] | None, typer.Option(metavar="ACCOUNT_ID", help="Only this account")] = None,
    workflow: Annotated[list[str] | None, typer.Option(metavar="WORKFLOW_ID", help="Only this workflow")] = None,
    topic: Annotated[str | None, typer.Option(help="Read this topic", show_default="the events' topic")] = None,
    to_file: Annotated[Path | None, typer.Option(metavar="FILE.avro", help="Write an Avro container file")] = None,
    to_topic: Annotated[str | None, typer.Option(metavar="TOPIC", help="Copy the messages as they are")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Exit 0 although messages were undecodable")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --to-file, --to-topic and --dry-run: the outcome as one JSON object")
    ] = False,
) -> None:
    """Read a part of the topic again, up to where it ended when this began. No group is joined, nothing is committed.

    Offsets begin with --from-offset and end before --to-offset. Times are
    those of arrival in Kafka. Without a destination each event is one JSON
    line. Exit code 3 when messages could not be decoded.

    \b
    Examples:
      taximeter replay --since 2h --account acct-001
      taximeter replay --from-offset 3:1200 --to-offset 3:1300 --partition 3
      taximeter replay --to-file events.avro
      taximeter replay --since 1d --to-topic metering.events.copy
    """
    from taximeter_consumers.replay.event_filter import EventFilter
    from taximeter_consumers.replay.replay import replay as replay_messages
    from taximeter_consumers.replay.topic_range import TopicRange
    from taximeter_consumers.replay.topic_reader import TopicReader
    from taximeter_infra.cli import context

    if sum((to_file is not None, to_topic is not None, dry_run)) > 1:
        raise typer.BadParameter("--to-file, --to-topic and --dry-run exclude each other")
    now = datetime.now(UTC)
    asked = TopicRange(
        frozenset(partition or ()),
        parse_offsets(from_offset or (), "--from-offset"),
        parse_offsets(to_offset or (), "--to-offset"),
        None if since is None else parse_moment(since, now, "--since"),
        None if until is None else parse_moment(until, now, "--until"),
    )
    wanted = EventFilter(frozenset(run or ()), frozenset(account or ()), frozenset(workflow or ()))
    kafka, registry = context.kafka_settings(), context.registry()
    with asking_kafka(kafka):
        reader = TopicReader(kafka, topic or context.topic_settings().events)
    try:
        spans = reader.spans(asked)
        _say_gone(spans)
        destination = _destination(kafka, to_file, to_topic, dry_run)
        with _progress(spans, shown=to_file is not None or to_topic is not None or dry_run) as on_progress:
            outcome = replay_messages(reader.read(spans), registry, wanted, destination, on_progress)
    finally:
        reader.close()
    to_stdout = to_file is None and to_topic is None and not dry_run
    _tell(outcome, as_json and not to_stdout, _wrote(to_stdout=to_stdout, dry_run=dry_run))
    if outcome.bad and not skip_bad:
        raise typer.Exit(ExitCode.CHECK_FAILED)


def register(app: typer.Typer) -> None:
    """Put this command on the app."""
    app.command(
        short_help="Read a part of the topic again: to stdout, a file, another topic.", rich_help_panel=Panel.ANSWERS
    )(replay)


def parse_offsets(given: Sequence[str], option: str | None = None) -> Offsets:
    """`1200` for every partition, `3:1200` for one. Raises typer.BadParameter."""
    from taximeter_consumers.replay.topic_range import Offsets

    everywhere: int | None = None
    own: dict[int, int] = {}
    for text in given:
        partition, _, offset = text.rpartition(":")
        if not offset.isdecimal() or (":" in text and not partition.isdecimal()):
            raise typer.BadParameter(f"{text!r} is not OFFSET or PARTITION:OFFSET", param_hint=option)
        if partition:
            own[int(partition)] = int(offset)
        else:
            everywhere = int(offset)
    return Offsets(everywhere, own)


def _destination(kafka: KafkaSettings, to_file: Path | None, to_topic: str | None, dry_run: bool) -> Destination:
    from taximeter_consumers.replay.destinations import AvroFile, JsonLines, Nowhere
    from taximeter_consumers.replay.topic_copy import TopicCopy

    if to_file is not None:
        return AvroFile(to_file)
    if to_topic is not None:
        return TopicCopy(kafka, to_topic)
    return Nowhere() if dry_run else JsonLines(sys.stdout)


def _say_gone(spans: Sequence[Span]) -> None:
    for span in spans:
        if span.gone:
            typer.echo(
                f"partition {span.partition} begins at offset {span.first}; {span.gone} before it are deleted", err=True
            )


def _wrote(*, to_stdout: bool, dry_run: bool) -> str:
    """The word for what happened to the chosen events; none where they themselves are on standard output."""
    return "" if to_stdout else "chosen" if dry_run else "written"


def _tell(outcome: Outcome, as_json: bool, wrote: str) -> None:
    if as_json:
        typer.echo(json.dumps(outcome.as_json(), indent=2))
    elif wrote:
        typer.echo(f"{outcome.read} messages read, {outcome.written} {wrote}, {outcome.bad} undecodable")
    elif not outcome.written:
        typer.echo(f"{outcome.read} messages read, no event among them was asked for", err=True)
    if outcome.bad:
        typer.echo(f"{outcome.bad} messages could not be decoded:", err=True)
        for bad in outcome.named:
            typer.echo(f"  {bad}", err=True)
        if outcome.bad > len(outcome.named):
            typer.echo(f"  and {outcome.bad - len(outcome.named)} more", err=True)


@contextmanager
def _progress(spans: Sequence[Span], *, shown: bool) -> Iterator[Callable[[int], None]]:
    if not shown or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    total = sum(span.end - span.first for span in spans)
    columns = (TextColumn("replay"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("replay", total=total)
        yield lambda read: bar.update(task, completed=read)
