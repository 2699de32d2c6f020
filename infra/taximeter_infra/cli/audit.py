"""`taximeter audit`: proof that what lies in Kafka is stored once, or what speaks against it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from taximeter_infra.cli.failures import ExitCode, told_plainly
from taximeter_infra.cli.panels import Panel
from taximeter_infra.cli.reach import asking_kafka, open_clickhouse

if TYPE_CHECKING:
    from taximeter_consumers.audit import IngestReport, Scope

# A scan of all stored events takes longer than an ordinary statement.
_QUERY_SECONDS = 3_600


@told_plainly
def audit(
    ingest: Annotated[bool, typer.Option("--ingest", help="From the topic's log to the rows in ClickHouse")] = False,
    topic: Annotated[str | None, typer.Option(help="The events' topic", show_default="TAXIMETER_TOPIC_EVENTS")] = None,
    partition: Annotated[list[int] | None, typer.Option(help="Only this partition; may be given again")] = None,
    group: Annotated[
        str | None, typer.Option(metavar="ID", help="The sink's group", show_default="TAXIMETER_SINK_GROUP_ID")
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read the whole log again: every batch's hash, every record's place")
    ] = False,
    in_log: Annotated[
        bool, typer.Option("--in-log", help="Leave out what retention has deleted from the log, instead of doubting it")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text")] = False,
) -> None:
    """Prove that stored ranges tile the log and that consumed = stored + duplicates + dead letters.

    Exit code 0 where that holds, 3 where it does not or cannot be proved. It
    reads only, and may run beside sinks: what lies above the committed offset
    is in flight, and not judged.

    \b
    Examples:
      taximeter audit --ingest
      taximeter audit --ingest --partition 3 --deep
      taximeter audit --ingest --in-log --json
    """
    if not ingest:
        raise typer.BadParameter("say what to audit: --ingest")
    from taximeter_consumers.audit import Scope
    from taximeter_consumers.sink.settings import SinkSettings
    from taximeter_infra.cli import context
    from taximeter_infra.cli.audit_view import as_object, show

    topics = context.topic_settings()
    scope = Scope(
        topic or topics.events,
        topics.dead_letters,
        group or context.settings_of(SinkSettings, {}).group_id,
        frozenset(partition or ()),
        deep=deep,
        in_log=in_log,
    )
    report = _run(scope)
    if as_json:
        typer.echo(json.dumps(as_object(report), indent=2))
    else:
        show(report)
    if not report.holds:
        raise typer.Exit(ExitCode.CHECK_FAILED)


def register(app: typer.Typer) -> None:
    """Put this command on the app."""
    app.command(short_help="Prove that what lies in Kafka is stored, each event once.", rich_help_panel=Panel.ANSWERS)(
        audit
    )


def _run(scope: Scope) -> IngestReport:
    from taximeter_consumers.audit import open_audit
    from taximeter_infra.cli import context

    kafka = context.kafka_settings()
    with closing(open_clickhouse(context.clickhouse_settings(), timeout_seconds=_QUERY_SECONDS)) as clickhouse:
        with asking_kafka(kafka):
            opened = ExitStack()
            made = opened.enter_context(open_audit(scope, kafka, clickhouse, context.registry()))
        with opened, _progress() as progress:
            return made.run(progress)


@contextmanager
def _progress() -> Iterator[Callable[[str, int], None]]:
    """What is done now, on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _what, _done: None
        return
    from rich.console import Console

    with Console(stderr=True).status("audit") as status:
        yield lambda what, done: status.update(f"audit: {what}{f', {done:,}' if done else ''}")
