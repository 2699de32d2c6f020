"""`taximeter archive` carried out: once, or on and on until a signal comes.

A service that cannot reach Kafka or the bucket says so and tries again every half minute; killed, the next one goes on
after what the manifest lists.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, cast

import structlog
import typer

from taximeter_infra.cli import context
from taximeter_infra.cli.reach import asking_kafka
from taximeter_infra.cli.replay_progress import progress
from taximeter_infra.cli.replay_run import say_gone
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from taximeter_consumers.archive.manifest import Manifest
    from taximeter_consumers.archive.shelf import Shelf
    from taximeter_consumers.archive.writer import Archived, Job
    from taximeter_consumers.replay.topic_range import Span
    from taximeter_consumers.replay.topic_reader import TopicReader
    from taximeter_infra.cli.replay_options import Range

_EVERY_SECONDS = 30.0
# The broker's clock says which hour a message is of, and ours when it is over.
_GRACE = timedelta(seconds=60)

_log = structlog.get_logger()


@dataclass(frozen=True)
class Options:
    """The whole command."""

    range: Range
    to: str
    form: str
    rows: int
    rate: float
    follow: bool
    dry_run: bool
    as_json: bool


@dataclass(frozen=True)
class _Opened:
    """A topic and its shelf, and what the shelf lacks."""

    reader: TopicReader
    shelf: Shelf
    manifest: Manifest
    missing: list[Span]
    lost: list[Span]


def run_archive(options: Options) -> None:
    """Raises typer.BadParameter, and errors of ours."""
    from taximeter_consumers.archive.shelf import shelf_of

    options.range.parsed(datetime.now(UTC))
    topic = options.range.topic or context.topic_settings().events
    shelf = shelf_of(options.to, topic)
    if options.dry_run:
        with closing(_asked_reader(topic)) as reader:
            opened = _look(options, reader, shelf)
        _say_lost(opened.lost)
        _tell_missing(options, opened.missing)
        return
    with shelf.locked():
        if options.follow:
            _follow(options, shelf, topic)
            return
        with closing(_asked_reader(topic)) as reader:
            opened = _look(options, reader, shelf)
            _say_lost(opened.lost)
            total = sum(span.end - span.first for span in opened.missing)
            with progress("archive", total) as told:
                done = _write(opened, opened.missing, _job(options, told))
    _tell(options, shelf, done)


def _follow(options: Options, shelf: Shelf, topic: str) -> None:
    """Pass after pass, one line of log for each that wrote something."""
    from taximeter_consumers.archive.writer import Archived, ripe_spans
    from taximeter_infra.logs import configure_logs
    from taximeter_infra.signals import stop_on_signals

    configure_logs()
    # Where nobody listens at the start that is said; later outages are outlived.
    _asked_reader(topic).close()
    stop, total = stop_on_signals(), Archived()
    said: set[Span] = set()
    while True:
        try:
            with closing(_reader(topic)) as reader:
                opened = _look(options, reader, shelf)
                _warn_lost(topic, opened.lost, said)
                hour = (datetime.now(UTC) - _GRACE).replace(minute=0, second=0, microsecond=0)
                spans = ripe_spans(reader, opened.missing, hour, options.rows)
                done = _write(opened, spans, _job(options, stop=stop))
        except Retryable as error:
            _log.warning("not archived yet", error=str(error))
        else:
            total = Archived(total.files + done.files, total.messages + done.messages, total.bytes + done.bytes)
            if done.files:
                _log.info("archived", topic=topic, files=done.files, messages=done.messages, bytes=done.bytes)
        if stop.wait(_EVERY_SECONDS):
            _tell(options, shelf, total)
            return


def _warn_lost(topic: str, lost: list[Span], said: set[Span]) -> None:
    """As `_say_lost`, each once; `said` grows."""
    for span in lost:
        if span not in said:
            found = {"topic": topic, "partition": span.partition, "first": span.first, "last": span.end - 1}
            _log.warning("Kafka's retention was faster than the archive: offsets are gone", **found)
    said.update(lost)


def _asked_reader(topic: str) -> TopicReader:
    with asking_kafka(context.kafka_settings()):
        return _reader(topic)


def _reader(topic: str) -> TopicReader:
    from taximeter_consumers.replay.topic_reader import TopicReader

    return TopicReader(context.kafka_settings(), topic)


def _look(options: Options, reader: TopicReader, shelf: Shelf) -> _Opened:
    """What is lacking now, of the log that the shelf is the archive of."""
    from taximeter_consumers.archive.tiling import overtaken
    from taximeter_consumers.archive.writer import admitted, lacking
    from taximeter_consumers.replay.topic_range import TopicRange
    from taximeter_consumers.sink.log_identity import LogIdentity

    log = LogIdentity(context.kafka_settings(), reader.topic, seen=False).log
    whole = reader.spans(TopicRange())
    manifest = admitted(shelf, reader.topic, log, {span.partition: span.end for span in whole})
    spans = reader.spans(options.range.parsed(datetime.now(UTC)))
    if not options.follow:
        say_gone(spans)
    chosen = {span.partition for span in spans}
    lost = [overtaken(span, manifest.of_partition(span.partition)) for span in whole if span.partition in chosen]
    return _Opened(reader, shelf, manifest, lacking(manifest, spans), [span for span in lost if span is not None])


def _job(options: Options, told: Callable[[int], None] = lambda _: None, stop: threading.Event | None = None) -> Job:
    from taximeter_consumers.archive.tiling import Limits
    from taximeter_consumers.archive.writer import Job
    from taximeter_consumers.replay.pace import Pace

    form = cast("Literal['avro', 'parquet']", options.form)
    stopped = stop.is_set if stop else lambda: False
    return Job(form, Limits(options.rows), Pace(options.rate), told, stopped)


def _write(opened: _Opened, spans: list[Span], job: Job) -> Archived:
    from taximeter_consumers.archive.writer import archive

    return archive(opened.reader, opened.shelf, opened.manifest, spans, job)


def _tell(options: Options, shelf: Shelf, done: Archived) -> None:
    told = {"where": shelf.where, **asdict(done)}
    text = f"{done.messages:,} messages archived in {done.files:,} files at {shelf.where}"
    typer.echo(json.dumps(told, indent=2) if options.as_json else text)


def _say_lost(lost: list[Span]) -> None:
    """A word on what Kafka deleted before it was archived."""
    for span in lost:
        typer.echo(
            f"Kafka's retention was faster than the archive: of partition {span.partition} offsets {span.first} to"
            f" {span.end - 1} are gone; archive more often (--follow), or keep the topic longer",
            err=True,
        )


def _tell_missing(options: Options, missing: list[Span]) -> None:
    offsets = sum(span.end - span.first for span in missing)
    if options.as_json:
        spans = [{"partition": span.partition, "first": span.first, "last": span.end - 1} for span in missing]
        typer.echo(json.dumps({"messages": offsets, "missing": spans}, indent=2))
    else:
        typer.echo(f"{offsets:,} messages are not in the archive yet")
