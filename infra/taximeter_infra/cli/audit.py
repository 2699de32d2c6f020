"""`taximeter audit`: proof that what lies in Kafka is stored once and billed once, or what speaks against it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from taximeter_infra.cli.failures import ExitCode, told_plainly
from taximeter_infra.cli.panels import Panel
from taximeter_infra.cli.reach import asking_kafka, open_clickhouse

if TYPE_CHECKING:
    from taximeter_consumers.audit import IngestReport, Scope
    from taximeter_consumers.conservation import MoneyReport, MoneyScope

# A scan of all stored events takes longer than an ordinary statement.
_QUERY_SECONDS = 3_600


Ingest = Annotated[
    bool | None, typer.Option("--ingest/--no-ingest", help="Only from the topic's log to the rows; or all but that")
]
Account = Annotated[str | None, typer.Option(help="Only the money of this account")]
Since = Annotated[
    str | None, typer.Option("--from", metavar="TIME", help="Only the money of the hours from this time on")
]
Until = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Only the money of the hours before this time")]
Topic = Annotated[str | None, typer.Option(help="The events' topic", show_default="TAXIMETER_TOPIC_EVENTS")]
Partition = Annotated[list[int] | None, typer.Option(help="Only this partition; may be given again")]
Group = Annotated[
    str | None, typer.Option(metavar="ID", help="The sink's group", show_default="TAXIMETER_SINK_GROUP_ID")
]
Deep = Annotated[
    bool, typer.Option("--deep", help="Read the whole log again: every batch's hash, every record's place")
]
InLog = Annotated[
    bool, typer.Option("--in-log", help="Leave out what retention has deleted from the log, instead of doubting it")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of text")]


@told_plainly
def audit(
    ingest: Ingest = None,
    account: Account = None,
    since: Since = None,
    until: Until = None,
    topic: Topic = None,
    partition: Partition = None,
    group: Group = None,
    deep: Deep = False,
    in_log: InLog = False,
    as_json: AsJson = False,
) -> None:
    """Prove that nothing is lost on the way from Kafka to the invoice, and nothing counted twice.

    Accepted offsets = stored + duplicates + dead letters. Then the conservation
    table, by account and hour, to the last digit: raw events = rollups = quota
    usage = invoice lines. Exit code 0 where all of it closes, 1 where it does
    not or cannot be proved, with every gap. With --ingest the first part
    alone, in full, with exit code 3 where it does not hold.

    It only reads, and may run beside sinks and ticks: what they are at is in
    flight, and not judged.

    \b
    Examples:
      taximeter audit
      taximeter audit --no-ingest --account acme --from 2026-11-01 --to 2026-12-01
      taximeter audit --ingest --partition 3 --deep
      taximeter audit --ingest --in-log --json
    """
    chosen = _ingest_scope(topic, partition, group, deep=deep, in_log=in_log)
    money = _money_scope(account, since, until)
    if ingest:
        if account is not None or since is not None or until is not None:
            raise typer.BadParameter("--ingest knows neither accounts nor hours: leave out --account, --from and --to")
        _audit_ingest(chosen, as_json=as_json)
    else:
        _audit_all(None if ingest is False else chosen, money, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Put this command on the app."""
    app.command(
        short_help="Prove that what lies in Kafka is stored once, and billed once.", rich_help_panel=Panel.ANSWERS
    )(audit)


def _audit_ingest(scope: Scope, *, as_json: bool) -> None:
    """The ingest audit by itself."""
    from taximeter_infra.cli.audit_view import as_object, show

    report = _run_ingest(scope)
    if as_json:
        typer.echo(json.dumps(as_object(report), indent=2))
    else:
        show(report)
    if not report.holds:
        raise typer.Exit(ExitCode.CHECK_FAILED)


def _audit_all(ingest: Scope | None, money: MoneyScope, *, as_json: bool) -> None:
    """The way of an event from Kafka to the invoice; without `ingest` from the stored rows on."""
    from taximeter_infra.cli import audit_view, conservation_view

    taken = None if ingest is None else _run_ingest_or_say_how_not(ingest)
    if taken is not None and not as_json:
        audit_view.show_short(taken, conservation_view.ingest_lines(taken))
    report = _run_money(money)
    holds = report.holds and (taken is None or taken.holds)
    if as_json:
        said = {
            "holds": holds,
            "ingest": None if taken is None else audit_view.as_object(taken),
            "money": conservation_view.as_object(report),
        }
        typer.echo(json.dumps(said, indent=2))
    else:
        conservation_view.show(report)
    if not holds:
        raise typer.Exit(ExitCode.FAILURE)


def _ingest_scope(
    topic: str | None, partitions: list[int] | None, group: str | None, *, deep: bool, in_log: bool
) -> Scope:
    from taximeter_consumers.audit import Scope
    from taximeter_consumers.sink.settings import SinkSettings
    from taximeter_infra.cli import context

    topics = context.topic_settings()
    return Scope(
        topic or topics.events,
        topics.dead_letters,
        group or context.settings_of(SinkSettings, {}).group_id,
        frozenset(partitions or ()),
        deep=deep,
        in_log=in_log,
    )


def _money_scope(account: str | None, since: str | None, until: str | None) -> MoneyScope:
    from taximeter_consumers.conservation import MoneyScope
    from taximeter_infra.cli.moments import parse_moment

    now = datetime.now(UTC)
    scope = MoneyScope(
        account,
        None if since is None else parse_moment(since, now, "--from"),
        None if until is None else parse_moment(until, now, "--to"),
    )
    if scope.since is not None and scope.until is not None and scope.since >= scope.until:
        raise typer.BadParameter("the time of --to is not after that of --from", param_hint="--to")
    return scope


def _run_ingest_or_say_how_not(scope: Scope) -> IngestReport:
    """The same; where Kafka cannot be asked the error says how to do without."""
    from taximeter_schemas.errors import Misconfigured

    try:
        return _run_ingest(scope)
    except Misconfigured as error:
        raise Misconfigured(error.problem, mend=f"{error.mend}; or leave Kafka out with --no-ingest") from error


def _run_ingest(scope: Scope) -> IngestReport:
    from taximeter_consumers.audit import open_audit
    from taximeter_infra.cli import context

    kafka = context.kafka_settings()
    with closing(open_clickhouse(context.clickhouse_settings(), timeout_seconds=_QUERY_SECONDS)) as clickhouse:
        with asking_kafka(kafka):
            opened = ExitStack()
            made = opened.enter_context(open_audit(scope, kafka, clickhouse, context.registry()))
        with opened, _progress() as progress:
            return made.run(progress)


def _run_money(scope: MoneyScope) -> MoneyReport:
    from taximeter_consumers.conservation import MoneyAudit
    from taximeter_infra.cli import context

    settings = context.clickhouse_settings()
    with (
        closing(open_clickhouse(settings, timeout_seconds=_QUERY_SECONDS)) as clickhouse,
        _progress() as progress,
    ):
        return MoneyAudit(clickhouse, scope).run(progress)


@contextmanager
def _progress() -> Iterator[Callable[[str, int], None]]:
    """What is done now, on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _what, _done: None
        return
    from rich.console import Console

    with Console(stderr=True).status("audit") as status:
        yield lambda what, done: status.update(f"audit: {what}{f', {done:,}' if done else ''}")
