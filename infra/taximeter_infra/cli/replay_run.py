"""`taximeter replay` carried out: opens the source, and hands it to the target that was asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from taximeter_infra.cli import context
from taximeter_infra.cli.failures import ExitCode
from taximeter_infra.cli.reach import asking_kafka
from taximeter_infra.cli.replay_progress import progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from taximeter_consumers.replay.checkpoint import Checkpoint
    from taximeter_consumers.replay.destinations import Destination
    from taximeter_consumers.replay.replay import Outcome
    from taximeter_consumers.replay.source import Source
    from taximeter_consumers.replay.topic_range import Span
    from taximeter_infra.cli.replay_options import Options
    from taximeter_schemas.registry import Registry


def run_replay(options: Options) -> None:
    """Raises typer.BadParameter, typer.Exit, and errors of ours."""
    options.check()
    now = datetime.now(UTC)
    # Before anything is opened: what was mistyped is said at once.
    options.range.parsed(now), options.wanted.parsed(now), options.shadow.chosen_book(now)
    if options.shadow.name is not None:
        from taximeter_infra.cli.replay_shadow import run_shadow

        run_shadow(options, now)
    elif options.chosen.to_clickhouse:
        from taximeter_infra.cli.replay_clickhouse import run_clickhouse

        run_clickhouse(options, now)
    else:
        _run_messages(options, now)


@contextmanager
def opened(options: Options, registry: Registry) -> Iterator[Source]:
    """The source that was asked for."""
    from taximeter_consumers.replay.source import open_archive

    source: Source
    if options.range.from_archive:
        source = open_archive(options.range.from_archive, registry)
    else:
        from taximeter_consumers.replay.topic_reader import TopicReader

        kafka, topics = context.kafka_settings(), context.topic_settings()
        with asking_kafka(kafka):
            source = TopicReader(
                kafka, options.range.topic or (topics.dead_letters if options.range.from_dlq else topics.events)
            )
    try:
        yield source
    finally:
        source.close()


def log_of(options: Options, source: Source) -> str:
    """The identity of the log that the source has; empty where nobody gave it one."""
    from taximeter_consumers.archive.reader import ArchiveReader
    from taximeter_consumers.sink.log_identity import LogIdentity

    if isinstance(source, ArchiveReader):
        return source.log
    if options.range.from_archive:
        return ""
    return LogIdentity(context.kafka_settings(), source.topic, seen=False).log


def say_gone(spans: Sequence[Span]) -> None:
    """A word on what was asked for and is not there any more."""
    for span in spans:
        if span.gone:
            typer.echo(
                f"partition {span.partition} begins at offset {span.first}; {span.gone} before it are deleted", err=True
            )


def _run_messages(options: Options, now: datetime) -> None:
    from taximeter_consumers.replay.pace import Pace
    from taximeter_consumers.replay.replay import Conduct
    from taximeter_consumers.replay.replay import replay as replay_messages

    registry = context.registry()
    with opened(options, registry) as source:
        checkpoint = _checkpoint(options, source.spans(options.range.parsed(now)))
        say_gone(checkpoint.spans)
        if checkpoint.resumed:
            typer.echo(f"going on after {checkpoint.counts['read']:,} messages", err=True)
        destination = _destination(options, checkpoint)
        total = sum(span.end - span.first for span in checkpoint.spans)
        with progress("replay", total, shown=not options.chosen.to_stdout) as told:
            outcome = replay_messages(
                source.read(checkpoint.left),
                registry,
                options.wanted.parsed(now),
                destination,
                Conduct(told, Pace(options.rate), checkpoint),
            )
    wrote = "" if options.chosen.to_stdout else "chosen" if options.chosen.dry_run else "written"
    _tell(outcome, options.as_json and bool(wrote), wrote)
    if outcome.bad and not options.skip_bad:
        raise typer.Exit(ExitCode.CHECK_FAILED)


def _checkpoint(options: Options, spans: Sequence[Span]) -> Checkpoint:
    """Beside the file, or in the data directory for copies into a topic; nowhere for what only counts or prints."""
    from taximeter_consumers.replay.checkpoint import Checkpoint, fingerprint
    from taximeter_consumers.replay.destinations import state_of
    from taximeter_infra.stack.plan import default_data_dir

    kafka = "" if options.range.from_archive else context.kafka_settings().bootstrap_servers
    asked = fingerprint(kafka, *options.identity())
    path: Path | None = None
    if options.chosen.to_file is not None:
        path = state_of(options.chosen.to_file)
    elif options.chosen.to_topic is not None:
        path = default_data_dir() / "replays" / f"{asked}.json"
    return Checkpoint.open(path, asked, spans)


def _destination(options: Options, checkpoint: Checkpoint) -> Destination:
    from taximeter_consumers.replay.destinations import AvroFile, JsonLines, Nowhere, ParquetFile
    from taximeter_consumers.replay.topic_copy import TopicCopy

    chosen = options.chosen
    if chosen.to_file is not None:
        kind = ParquetFile if chosen.to_file.suffix == ".parquet" else AvroFile
        return kind(chosen.to_file, checkpoint.destination)
    if chosen.to_topic is not None:
        return TopicCopy(context.kafka_settings(), chosen.to_topic)
    return Nowhere() if chosen.dry_run else JsonLines(sys.stdout)


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
