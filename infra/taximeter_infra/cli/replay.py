"""`taximeter replay`: a range of a topic or an archive again, to wherever it is wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from taximeter_infra.cli.failures import told_plainly
from taximeter_infra.cli.panels import Panel
from taximeter_infra.cli.replay_options import Chosen, Options, Range, ShadowWish, Wanted, parse_offsets

__all__ = ["parse_offsets", "register", "replay"]

Many = list[str] | None
OffsetOption = Annotated[
    Many,
    typer.Option(
        metavar="[PARTITION:]OFFSET",
        help="For all partitions, or for one; may be given again",
        rich_help_panel="Source",
    ),
]
TimeOption = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="Arrival in Kafka. ISO 8601, or how long ago: 90s, 15m, 2h, 7d", rich_help_panel="Source"
    ),
]


@told_plainly
def replay(
    topic: Annotated[
        str | None, typer.Option(help="Read this topic", show_default="the events' topic", rich_help_panel="Source")
    ] = None,
    from_dlq: Annotated[
        bool, typer.Option("--from-dlq", help="Read the dead letters", rich_help_panel="Source")
    ] = False,
    from_archive: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="Read an archived topic (the folder with its manifest), or Avro and Parquet files",
            rich_help_panel="Source",
        ),
    ] = None,
    from_offset: OffsetOption = None,
    to_offset: OffsetOption = None,
    since: TimeOption = None,
    until: TimeOption = None,
    partition: Annotated[
        list[int] | None, typer.Option(help="Only this partition; may be given again", rich_help_panel="Source")
    ] = None,
    run: Annotated[Many, typer.Option(metavar="RUN_ID", help="Only this run; each may be given again")] = None,
    account: Annotated[Many, typer.Option(metavar="ACCOUNT_ID", help="Only this account")] = None,
    workflow: Annotated[Many, typer.Option(metavar="WORKFLOW_ID", help="Only this workflow")] = None,
    user: Annotated[Many, typer.Option(metavar="USER_ID", help="Only this user")] = None,
    model: Annotated[Many, typer.Option(metavar="[PROVIDER/]MODEL", help="Only this model")] = None,
    occurred_from: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only events that occurred then or later")
    ] = None,
    occurred_until: Annotated[str | None, typer.Option(metavar="TIME", help="Only events that occurred before")] = None,
    to_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE.avro|.parquet", help="Write an Avro or Parquet file", rich_help_panel="Target"),
    ] = None,
    to_topic: Annotated[
        str | None, typer.Option(metavar="TOPIC", help="Copy the messages as they are", rich_help_panel="Target")
    ] = None,
    to_clickhouse: Annotated[
        bool,
        typer.Option(
            "--to-clickhouse", help="Store them; what is there already stays as it is", rich_help_panel="Target"
        ),
    ] = False,
    shadow: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Build events and rollups again beside the live ones", rich_help_panel="Target"
        ),
    ] = None,
    diff: Annotated[
        bool, typer.Option("--diff", help="What differs from the live rollups; exit 3", rich_help_panel="Shadow")
    ] = False,
    swap: Annotated[
        bool, typer.Option("--swap", help="Exchange the shadow's tables for the live ones", rich_help_panel="Shadow")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Swap them back", rich_help_panel="Shadow")] = False,
    drop: Annotated[bool, typer.Option("--drop", help="Drop the shadow", rich_help_panel="Shadow")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Drop it and begin anew", rich_help_panel="Shadow")] = False,
    book: Annotated[
        int | None,
        typer.Option(metavar="VERSION", help="Price by this version of the book", rich_help_panel="Shadow"),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Price by what the book had at this time", rich_help_panel="Shadow"),
    ] = None,
    copy_missing: Annotated[
        bool,
        typer.Option("--copy-missing", help="Take from the live table what the source lacks", rich_help_panel="Shadow"),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Swap although totals change", rich_help_panel="Shadow")] = False,
    rate: Annotated[float, typer.Option(min=0, help="At most so many events a second; 0: no limit")] = 0.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count")] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Exit 0 although messages were undecodable")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The outcome as one JSON object; not for events")] = False,
) -> None:
    """Read a part of the topic again, up to where it ended when this began. No group is joined, nothing is committed.

    Offsets begin with --from-offset and end before --to-offset. Without a
    target each event is one JSON line. Events keep their ids, so a replay
    changes no total, however often. Killed, the same command goes on where it
    was. Exit code 3 when messages could not be decoded, or a shadow differs.

    \b
    Examples:
      taximeter replay --since 2h --account acct-001 --model gpt-5
      taximeter replay --from-offset 3:1200 --to-offset 3:1300 --partition 3
      taximeter replay --from-archive archive/metering.events --to-file events.parquet
      taximeter replay --since 1d --to-topic metering.events.copy --rate 5000
      taximeter replay --shadow check --diff
      taximeter replay --shadow check --swap
      taximeter replay --shadow check --undo
    """
    from taximeter_infra.cli.replay_run import run_replay

    wish = ShadowWish(shadow, diff, swap, undo, drop, fresh, book, as_of, copy_missing, yes)
    run_replay(
        Options(
            Range(topic, from_dlq, tuple(from_archive or ()), from_offset, to_offset, since, until, partition),
            Wanted(run, account, workflow, user, model, occurred_from, occurred_until),
            Chosen(to_file, to_topic, to_clickhouse, dry_run),
            wish,
            rate,
            skip_bad,
            as_json,
        )
    )


def register(app: typer.Typer) -> None:
    """Put this command on the app."""
    app.command(
        short_help="Read a topic or an archive again: to a file, a topic, ClickHouse, a shadow.",
        rich_help_panel=Panel.ANSWERS,
    )(replay)
