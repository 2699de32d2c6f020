"""`taximeter status --watch`: the same, again and again. Ctrl-C and SIGTERM end it, with exit code 0."""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING

import typer
from rich.console import Console, Group
from rich.live import Live

from taximeter_infra.cli.status_view import plain, status_json, table_of
from taximeter_infra.status.judge import judge
from taximeter_infra.status.pipeline import Pipeline
from taximeter_infra.status.verdicts import overall

if TYPE_CHECKING:
    import threading

    from taximeter_infra.status.pipeline import Whereabouts
    from taximeter_infra.status.verdicts import Line


def watch_pipeline(where: Whereabouts, interval: float, stop: threading.Event, *, as_json: bool) -> None:
    """Looks every `interval` seconds until `stop` is set: a live table on a terminal, else lines, or JSON lines."""
    console = Console()
    pipeline, before = Pipeline(where), None
    with ExitStack() as shown:
        live = None
        if console.is_terminal and not as_json:
            live = shown.enter_context(Live(console=console, auto_refresh=False, screen=True))
        while not stop.is_set():
            facts = pipeline.look()
            lines = judge(facts, before)
            before = facts
            if as_json:
                typer.echo(json.dumps(status_json(None, [], lines, facts)))
            elif live is not None:
                live.update(Group(_head(lines), table_of(lines)), refresh=True)
            else:
                typer.echo("\n".join([_head(lines), *plain(lines)]))
            stop.wait(interval)
    pipeline.close()


def _head(lines: list[Line]) -> str:
    return f"{datetime.now().astimezone():%H:%M:%S}  {overall(lines).word}"
