"""How far a replay is: a bar with the time that is left on a terminal, else a plain line every few seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

_LINE_SECONDS = 10.0


def line(what: str, done: int, total: int, elapsed: float) -> str:
    """A plain line: `stored 1,200 of 5,000 (24 %), 600 a second, 6 s left`. Pure."""
    speed = done / elapsed if elapsed > 0 else 0.0
    share = f" ({done * 100 // total} %)" if total else ""
    left = f", {max(total - done, 0) / speed:.0f} s left" if speed and total else ""
    return f"{what} {done:,} of {total:,}{share}, {speed:,.0f} a second{left}"


@contextmanager
def progress(what: str, total: int, *, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """Gives what is to be told the number done so far. Everything goes to standard error."""
    if not shown or not total:
        yield lambda _: None
    elif sys.stderr.isatty():
        with _bar(what, total) as told:
            yield told
    else:
        began, last = time.monotonic(), time.monotonic()

        def told_plainly(done: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= _LINE_SECONDS:
                last = now
                typer.echo(line(what, done, total, now - began), err=True)

        yield told_plainly


@contextmanager
def _bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(elapsed_when_finished=True))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)
