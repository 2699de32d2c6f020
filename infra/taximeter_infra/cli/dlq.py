"""`taximeter dlq`: dead letters listed, shown, exported; and the log of what was done with them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taximeter_infra.cli import context, dlq_act, dlq_view
from taximeter_infra.cli.dlq_open import (
    AsJson,
    Asked,
    Places,
    Reasons,
    Since,
    Until,
    clickhouse,
    letter_box,
    place_of,
    spans_of,
)
from taximeter_infra.cli.failures import told_plainly
from taximeter_infra.cli.panels import Panel
from taximeter_infra.cli.replay_progress import progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.dead_letters.choice import Choice, Summary
    from taximeter_consumers.dead_letters.files import Pair

dlq = typer.Typer(no_args_is_help=True, help="Dead letters: list, show, export, redrive, drop, log.")
All = Annotated[bool, typer.Option("--all", help="Also those that were redriven or dropped")]
_CHUNK = 2_000


@dlq.command("list")
@told_plainly
def list_(
    reason: Reasons = None, since: Since = None, until: Until = None, show_all: All = False, as_json: AsJson = False
) -> None:
    """Dead letters by reason: how many, since when, one place of each kind. Nothing of their content.

    \b
    Examples:
      taximeter dlq list
      taximeter dlq list --reason unknown_schema --since 7d
      taximeter dlq list --all --json
    """
    choice = Asked(None, reason, since, until).choice()
    with clickhouse() as opened:
        summary = _summary(opened, choice, show_all=show_all)
    if as_json:
        typer.echo(json.dumps(dlq_view.summary_as_object(summary), indent=2, ensure_ascii=False))
    else:
        dlq_view.show_summary(summary, show_all=show_all)


@dlq.command()
@told_plainly
def show(
    place: Annotated[str, typer.Argument(metavar="PARTITION:OFFSET", help="As `taximeter dlq list` names it")],
    as_json: AsJson = False,
) -> None:
    """One dead letter: why, from where, its bytes, what can be read of them, and what would mend it.

    It prints the content, which may be a user's.

    \b
    Examples:
      taximeter dlq show 0:1041
      taximeter dlq show 2:17 --json
    """
    import time

    from taximeter_consumers.dead_letters.choice import State
    from taximeter_consumers.dead_letters.memory import Memory
    from taximeter_consumers.dead_letters.reading import read
    from taximeter_consumers.dead_letters.trial import Trial

    registry, wanted = context.registry(), place_of(place)
    with clickhouse() as opened, letter_box() as box:
        letter = box.at(wanted)
        state = Memory(opened).states([letter]).get(letter.letter_id, State.OPEN)
        bad = Trial(opened, registry).bad([letter.value], int(time.time() * 1000)).get(0)
    shown = dlq_view.Shown(letter, state, read(letter.value, registry), bad)
    if as_json:
        typer.echo(json.dumps(dlq_view.letter_as_object(shown), indent=2, ensure_ascii=False))
    else:
        dlq_view.show_letter(shown)


@dlq.command()
@told_plainly
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines, or .avro; - for standard output")],
    places: Places = None,
    reason: Reasons = None,
    since: Since = None,
    until: Until = None,
    export_all: All = False,
    as_json: AsJson = False,
) -> None:
    """Write dead letters to a file: to correct their events and send them by `redrive --from`, or to keep them.

    A line has the place, the reason, key, headers and value in base64, and
    the event where it can be read. An .avro file has the messages as they
    are. It holds content, which may be users'.

    \b
    Examples:
      taximeter dlq export letters.jsonl --reason negative
      taximeter dlq export - --since 1d
      taximeter dlq export letters.avro --all
    """
    from taximeter_consumers.dead_letters.files import write_file, write_lines

    registry, choice = context.registry(), Asked(places, reason, since, until).choice()
    to_stdout = str(file) == "-"
    with clickhouse() as opened, letter_box() as box:
        spans, total = spans_of(box, choice)
        with progress("export", total, shown=not to_stdout) as told:
            pairs = _standing(opened, box.pairs(choice, spans), told, keep_all=export_all)
            if to_stdout:
                write_lines((letter for _, letter in pairs), registry, sys.stdout)
                return
            written = write_file(pairs, registry, file)
    typer.echo(json.dumps({"exported": written}) if as_json else f"{written:,} dead letters exported to {file}")


@dlq.command()
@told_plainly
def log(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many commands")] = 50,
    as_json: AsJson = False,
) -> None:
    """Who redrove or dropped dead letters, when and why; the last first.

    \b
    Examples:
      taximeter dlq log
      taximeter dlq log --limit 500 --json
    """
    from taximeter_consumers.dead_letters.memory import Memory

    with clickhouse() as opened:
        entries = Memory(opened).log(limit)
    if as_json:
        typer.echo(json.dumps({"commands": entries}, indent=2, default=str, ensure_ascii=False))
    else:
        dlq_view.show_log(entries)


def register(app: typer.Typer) -> None:
    """Put these commands on the app, under `dlq`."""
    dlq_act.register(dlq)
    app.add_typer(dlq, name="dlq", rich_help_panel=Panel.ANSWERS)


def _summary(opened: ClickHouse, choice: Choice, *, show_all: bool) -> Summary:
    from taximeter_consumers.dead_letters.choice import State, Summary, in_chunks
    from taximeter_consumers.dead_letters.memory import Memory

    memory, summary = Memory(opened), Summary()
    with letter_box() as box:
        spans, total = spans_of(box, choice)
        with progress("dead letters", total) as told:
            read = 0
            for chunk in in_chunks((letter for _, letter in box.pairs(choice, spans)), _CHUNK):
                states = memory.states(chunk)
                for letter in chunk:
                    state = states.get(letter.letter_id, State.OPEN)
                    if show_all or state is State.OPEN:
                        summary.take(letter, state)
                read += len(chunk)
                told(read)
    return summary


def _standing(
    opened: ClickHouse, pairs: Iterable[Pair], told: Callable[[int], None], *, keep_all: bool
) -> Iterator[Pair]:
    """Each letter once, without those that are not open unless all are wanted."""
    from taximeter_consumers.dead_letters.choice import in_chunks, once
    from taximeter_consumers.dead_letters.memory import Memory

    memory, read = Memory(opened), 0
    for chunk in in_chunks(once(pairs, lambda pair: pair[1].letter_id), _CHUNK):
        states = {} if keep_all else memory.states([letter for _, letter in chunk])
        yield from (pair for pair in chunk if pair[1].letter_id not in states)
        read += len(chunk)
        told(read)
