"""`taximeter spool`: what waits on this machine's disk, and sending it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taximeter_infra.cli.failures import ExitCode, told_plainly
from taximeter_infra.cli.panels import Panel
from taximeter_infra.cli.reach import asking_kafka
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from taximeter.spool.draining import Drained
    from taximeter.spool.status import SpoolStatus

VARIABLE = "TAXIMETER_METER_SPOOL_DIR"
_SILENCE_SECONDS = 60.0

DirOption = Annotated[
    Path | None, typer.Option("--dir", metavar="DIRECTORY", help="The spool's directory", show_default=VARIABLE)
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object instead of text")]
spool = typer.Typer(no_args_is_help=True, help="Show what executors left on this machine's disk, or send it to Kafka.")


@spool.command()
@told_plainly
def status(directory: DirOption = None, as_json: JsonOption = False) -> None:
    """Show what waits: segments, events, bytes, the oldest. Exit code 3 when files were set aside as damaged.

    \b
    Examples:
      taximeter spool status
      taximeter spool status --dir /var/spool/taximeter --json
    """
    from taximeter.spool.status import read_status

    path = _directory(directory)
    found = read_status(path)
    if as_json:
        typer.echo(json.dumps({"directory": str(path)} | _as_json(found), indent=2))
    else:
        _show(path, found)
    if found.corrupt_files or found.damaged_bytes:
        raise typer.Exit(ExitCode.CHECK_FAILED)


@spool.command()
@told_plainly
def drain(
    directory: DirOption = None,
    timeout: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Give up after so long without an acknowledgement")
    ] = _SILENCE_SECONDS,
    as_json: JsonOption = False,
) -> None:
    """Send what waits to Kafka, oldest first; each segment is deleted once the broker has acknowledged all of it.

    Segments of living processes are left to them. Stop it at any time: an
    event that is sent again is counted once. Exit code 1 when something is
    left, 3 when a damaged file was set aside.

    \b
    Examples:
      taximeter spool drain
      taximeter spool drain --dir /var/spool/taximeter --timeout 10
    """
    from taximeter.emitter.kafka import KafkaTransport
    from taximeter.faults import Faults
    from taximeter.spool import Spool, SpoolSettings, read_status
    from taximeter.spool.draining import Bounds
    from taximeter.spool.draining import drain as drain_spool
    from taximeter_infra.cli import context
    from taximeter_infra.signals import stop_on_signals

    path = _directory(directory)
    waiting = read_status(path)
    stop = stop_on_signals()
    faults = Faults()
    kafka, topic = context.kafka_settings(), context.topic_settings().events
    with asking_kafka(kafka):
        transport = KafkaTransport(kafka, topic, faults)
    held = Spool(SpoolSettings(path), faults)
    try:
        with _progress(waiting.records - waiting.living_records) as on_progress:
            drained = drain_spool(held, transport, Bounds(timeout, stop.is_set, on_progress))
    finally:
        held.close()
        transport.close()
    left = read_status(path)
    why = "it was interrupted" if stop.is_set() else drained.why or "they came meanwhile, or cannot be drained here"
    if as_json:
        typer.echo(json.dumps({"drained": asdict(drained), "left": _as_json(left)}, indent=2))
    else:
        _tell(drained, left, why)
    for name, reason in held.passed_over.items():
        typer.echo(f"{path / name} {reason}", err=True)
    if left.segments > left.living:
        raise typer.Exit(ExitCode.FAILURE)
    if drained.set_aside:
        raise typer.Exit(ExitCode.CHECK_FAILED)


def register(app: typer.Typer) -> None:
    """Put these commands on the app."""
    app.add_typer(spool, name="spool", rich_help_panel=Panel.PIPELINE)


def _directory(given: Path | None) -> Path:
    named = os.environ.get(VARIABLE, "")
    if given is None and not named:
        raise Misconfigured("no spool directory is named", mend=f"give --dir, or set {VARIABLE}")
    path = Path(named) if given is None else given
    if not path.is_dir():
        raise Misconfigured(
            f"there is no spool directory at {path}",
            mend=f"look at {VARIABLE} of the executors; a meter makes its directory when it starts",
        )
    return path


def _as_json(found: SpoolStatus) -> dict[str, object]:
    return asdict(found) | {"oldest": None if found.oldest is None else found.oldest.isoformat()}


def _show(path: Path, found: SpoolStatus) -> None:
    if not found.segments:
        typer.echo(f"{path}: nothing waits")
    else:
        typer.echo(
            f"{path}: {_events(found.records)} in {_segments(found.segments)}, {found.waiting_bytes:,} bytes"
            f"{_since(found.oldest)}"
        )
    _tell_living(found)
    if found.torn_bytes:
        typer.echo(f"{found.torn_bytes:,} bytes were torn off by a crash before they were accepted; they are not sent")
    if found.damaged_bytes:
        typer.echo(f"{found.damaged_bytes:,} bytes cannot be read; draining sets their file aside", err=True)
    if found.corrupt_files:
        typer.echo(
            f"{_counted(found.corrupt_files, 'file')} with {found.corrupt_bytes:,} bytes set aside as {path}/*.corrupt:"
            " what could be read of them was sent; look at the disk, delete them when they have served",
            err=True,
        )


def _tell(drained: Drained, left: SpoolStatus, why: str) -> None:
    typer.echo(f"sent {_events(drained.acknowledged)}, took away {_segments(drained.segments)}")
    if drained.refused:
        typer.echo(f"the broker refuses {_events(drained.refused)} for good: {drained.why}", err=True)
    if drained.set_aside:
        typer.echo(f"{_segments(drained.set_aside)} set aside as *.corrupt, see `taximeter spool status`", err=True)
    _tell_living(left)
    if left.segments > left.living:
        waiting = left.records - left.living_records
        typer.echo(f"{_events(waiting)} in {_segments(left.segments - left.living)} are left: {why}", err=True)


def _tell_living(found: SpoolStatus) -> None:
    if found.living:
        typer.echo(
            f"{_segments(found.living)} with {_events(found.living_records)} held by living processes: left to them"
        )


def _segments(count: int) -> str:
    return _counted(count, "segment")


def _events(count: int) -> str:
    return _counted(count, "event")


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _since(oldest: datetime | None) -> str:
    if oldest is None:
        return ""
    minutes = max(0.0, (datetime.now(UTC) - oldest).total_seconds()) / 60
    age = f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"
    return f", the oldest from {oldest:%Y-%m-%d %H:%M:%S} UTC ({age} ago)"


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Drained], None]]:
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("drain"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("drain", total=total)
        yield lambda drained: bar.update(task, completed=drained.acknowledged)
