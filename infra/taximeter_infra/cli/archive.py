"""`taximeter archive`: a topic into files, by hour, with a manifest; and `verify`, `list`, `fetch` of such archives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taximeter_infra.cli.failures import ExitCode, told_plainly
from taximeter_infra.cli.panels import Panel
from taximeter_infra.cli.replay_options import Range
from taximeter_infra.cli.replay_progress import progress

if TYPE_CHECKING:
    from taximeter_consumers.archive.manifest import Manifest
    from taximeter_consumers.archive.shelf import Shelf

archive = typer.Typer()
Many = list[str] | None
Offset = Annotated[
    Many, typer.Option(metavar="[PARTITION:]OFFSET", help="For all partitions, or for one; may be given again")
]
Time = Annotated[
    str | None, typer.Option(metavar="TIME", help="Arrival in Kafka. ISO 8601, or how long ago: 90s, 15m, 2h, 7d")
]
Where = Annotated[str, typer.Argument(metavar="PLACE", help="A folder, file:///FOLDER or s3://BUCKET/PREFIX")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of text")]


@archive.callback(invoke_without_command=True)
@told_plainly
def copy(
    asked: typer.Context,
    to: Annotated[
        str | None, typer.Option(metavar="PLACE", help="A folder, file:///FOLDER or s3://BUCKET/PREFIX")
    ] = None,
    topic: Annotated[str | None, typer.Option(help="Archive this topic", show_default="the events' topic")] = None,
    partition: Annotated[list[int] | None, typer.Option(help="Only this partition; may be given again")] = None,
    from_offset: Offset = None,
    to_offset: Offset = None,
    since: Time = None,
    until: Time = None,
    form: Annotated[str, typer.Option("--format", metavar="avro|parquet", help="What the files are")] = "avro",
    rows_per_file: Annotated[int, typer.Option(min=1, help="A file has at most so many messages")] = 100_000,
    follow: Annotated[bool, typer.Option("--follow", help="Go on: each hour when it is over, and full files")] = False,
    rate: Annotated[float, typer.Option(min=0, help="At most so many messages a second; 0: no limit")] = 0.0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count")] = False,
    as_json: AsJson = False,
) -> None:
    """Copy what an archive lacks of a topic into files by hour, with a manifest and digests.

    It ends where the topic ended when it began; with --follow it goes on
    until SIGTERM or Ctrl-C. Killed, or given again, it goes on after what the
    manifest lists. Another log under the same name is refused. Nothing is
    committed. `verify`, `list` and `fetch` are commands of their own.

    \b
    Examples:
      taximeter archive --to archive
      taximeter archive --to 's3://billing/taximeter?region=eu-central-1' --format parquet --follow
      taximeter archive --to archive --topic metering.events.dlq --dry-run
      taximeter archive --to archive --since 2026-11-01 --until 2026-12-01 --rate 20000
    """
    if asked.invoked_subcommand is not None:
        return
    from taximeter_infra.cli.archive_run import Options, run_archive

    if to is None:
        raise typer.BadParameter("say where: --to FOLDER or --to s3://BUCKET/PREFIX", param_hint="--to")
    if form not in ("avro", "parquet"):
        raise typer.BadParameter("it is avro or parquet", param_hint="--format")
    wanted = Range(topic, False, (), from_offset, to_offset, since, until, partition)
    if follow and (dry_run or since or until or to_offset):
        raise typer.BadParameter("--follow has no end: it goes with none of --until, --to-offset, --since, --dry-run")
    run_archive(Options(wanted, to, form, rows_per_file, rate, follow, dry_run, as_json))


@archive.command()
@told_plainly
def verify(
    where: Where,
    deep: Annotated[bool, typer.Option("--deep", help="Read every message, not only digests")] = False,
    as_json: AsJson = False,
) -> None:
    """Hold an archive against its manifest: files, digests, ranges without a gap. Exit code 3 where it does not hold.

    \b
    Examples:
      taximeter archive verify archive
      taximeter archive verify s3://billing/taximeter --deep --json
    """
    from taximeter_consumers.archive.verify import Weight
    from taximeter_consumers.archive.verify import verify as verify_shelf

    told, holds = [], True
    for shelf, manifest in _archives(where):
        with progress(f"verify {manifest.topic}", len(manifest.parts)) as said:
            faults = list(verify_shelf(shelf, manifest, deep=deep, told=said))
        bad = [fault for fault in faults if fault.weight is not Weight.NOTE]
        holds = holds and not bad
        told.append(
            {
                "topic": manifest.topic,
                "files": len(manifest.parts),
                "messages": sum(part.rows for part in manifest.parts),
                "holds": not bad,
                "faults": [{"weight": fault.weight.value, "text": fault.text} for fault in faults],
            }
        )
        if not as_json:
            for fault in faults:
                typer.echo(f"{fault.weight}: {fault.text}")
            verdict = "holds" if not bad else "DOES NOT HOLD"
            typer.echo(
                f"{manifest.topic}: {told[-1]['messages']:,} messages in {len(manifest.parts):,} files: {verdict}"
            )
    if as_json:
        typer.echo(json.dumps({"holds": holds, "topics": told}, indent=2))
    if not holds:
        raise typer.Exit(ExitCode.CHECK_FAILED)


@archive.command("list")
@told_plainly
def list_(where: Where, as_json: AsJson = False) -> None:
    """What an archive has: topics, partitions, offsets, times, sizes.

    \b
    Examples:
      taximeter archive list archive
      taximeter archive list s3://billing/taximeter --json
    """
    from taximeter_infra.cli.archive_view import archive_as_object, show_archive

    found = [archive_as_object(shelf.where, manifest) for shelf, manifest in _archives(where)]
    if as_json:
        typer.echo(json.dumps({"topics": found}, indent=2))
    else:
        for one in found:
            show_archive(one)


@archive.command()
@told_plainly
def fetch(
    where: Where,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to; each topic in a folder of its own")],
    as_json: AsJson = False,
) -> None:
    """Copy an archive into a folder, for `taximeter replay --from-archive`. Each file is held against its digest.

    \b
    Examples:
      taximeter archive fetch s3://billing/taximeter archive
      taximeter archive fetch s3://billing/taximeter/metering.events archive
    """
    from taximeter_consumers.archive.verify import fetch as fetch_shelf

    told = []
    for shelf, manifest in _archives(where):
        with progress(f"fetch {manifest.topic}", len(manifest.parts)) as said:
            copied = fetch_shelf(shelf, manifest, folder, said)
        told.append({"topic": manifest.topic, "files": len(manifest.parts), "copied": copied})
        if not as_json:
            typer.echo(f"{folder / manifest.topic}: {copied:,} files copied, {len(manifest.parts):,} in all")
    if as_json:
        typer.echo(json.dumps({"topics": told}, indent=2))


def register(app: typer.Typer) -> None:
    """Put these commands on the app."""
    app.add_typer(
        archive,
        name="archive",
        short_help="Copy a topic into files, for replays past Kafka's retention.",
        rich_help_panel=Panel.ANSWERS,
    )


def _archives(where: str) -> list[tuple[Shelf, Manifest]]:
    from taximeter_consumers.archive.shelf import shelves_at

    found = ((shelf, shelf.load()) for shelf in shelves_at(where))
    return [(shelf, manifest) for shelf, manifest in found if manifest is not None]
