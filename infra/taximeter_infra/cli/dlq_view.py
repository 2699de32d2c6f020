"""How dead letters look: lines for people, objects for programs. Lists show nothing of a content, `show` all of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from taximeter_consumers.dead_letters.choice import State
from taximeter_consumers.dead_letters.mends import mend_of

if TYPE_CHECKING:
    from collections import Counter

    from taximeter_consumers.dead_letters.choice import Group, Summary
    from taximeter_consumers.dead_letters.drop import Dropped
    from taximeter_consumers.dead_letters.letter import Letter
    from taximeter_consumers.dead_letters.reading import Reading
    from taximeter_consumers.dead_letters.redrive import Outcome
    from taximeter_schemas.errors import Poison

_MOST_KINDS = 50
_MOST_PLACES = 12
_HEX_COLUMNS = 32


@dataclass(frozen=True)
class Shown:
    """A letter with what is known of it; `bad` is why it would be a dead letter again now, None where it would not."""

    letter: Letter
    state: State
    reading: Reading
    bad: Poison | None


def summary_as_object(summary: Summary) -> dict[str, Any]:
    """For `--json`."""
    return {"letters": summary.letters, "groups": [_group_as_object(group) for group in summary.sorted()]}


def show_summary(summary: Summary, *, show_all: bool) -> None:
    """For people."""
    groups = summary.sorted()
    for group in groups[:_MOST_KINDS]:
        kind = group.kind
        state = f" {kind.state}" if show_all else ""
        source = f" from {kind.source_topic}" if kind.source_topic else ""
        copies = f", {group.copies:,} written twice" if group.copies else ""
        typer.echo(f"{group.letters:,}{state} {kind.reason}{source}: {kind.error or 'no word on it'}")
        typer.echo(f"    {group.first:%Y-%m-%d %H:%M:%S} to {group.last:%Y-%m-%d %H:%M:%S} UTC{copies}")
        typer.echo(f"    taximeter dlq show {group.example}")
    if len(groups) > _MOST_KINDS:
        typer.echo(f"and {len(groups) - _MOST_KINDS:,} kinds more; --json shows all")
    for reason in sorted({group.kind.reason for group in groups if group.kind.state is State.OPEN}):
        typer.echo(f"{reason}: {mend_of(reason)}")
    typer.echo(f"{summary.letters:,} dead letters" + ("" if show_all else " are open"))


def letter_as_object(shown: Shown) -> dict[str, Any]:
    """For `--json`."""
    letter, reading = shown.letter, shown.reading
    source = letter.source
    return {
        "place": str(letter.place),
        "letter_id": letter.letter_id,
        "state": shown.state.value,
        "at": letter.at.isoformat(timespec="milliseconds"),
        "reason": letter.reason,
        "error": letter.error,
        "attempts": letter.attempts,
        "source": source and {"topic": source.topic, "partition": source.partition, "offset": source.offset},
        "key_hex": None if letter.key is None else letter.key.hex(),
        "headers": [[name, _shown_bytes(value)] for name, value in letter.headers],
        "value_hex": None if letter.value is None else letter.value.hex(),
        "schema_id": reading.schema_id,
        "read_as_version": reading.read_as,
        "is_whole": reading.is_whole,
        "fields": reading.fields,
        "now": None if shown.bad is None else {"reason": shown.bad.reason, "error": str(shown.bad)},
        "mend": _mend(shown),
    }


def show_letter(shown: Shown) -> None:
    """For people."""
    letter, reading = shown.letter, shown.reading
    typer.echo(f"dead letter {letter.place}, {shown.state}, set aside {letter.at:%Y-%m-%d %H:%M:%S} UTC")
    typer.echo(f"reason:  {letter.reason}: {letter.error or 'no word on it'}")
    typer.echo(f"now:     {'it would be stored' if shown.bad is None else f'{shown.bad.reason}: {shown.bad}'}")
    typer.echo(f"mend:    {_mend(shown)}")
    typer.echo(f"source:  {letter.source or 'the letter does not say'}")
    typer.echo(f"key:     {_shown_bytes(letter.key)}")
    for name, value in letter.headers:
        typer.echo(f"header:  {name} = {_shown_bytes(value)}")
    value = letter.value
    typer.echo(f"value:   {'none (a tombstone)' if value is None else f'{len(value):,} bytes'}")
    for begin in range(0, len(value or b""), _HEX_COLUMNS):
        typer.echo(f"  {begin:6x}  {(value or b'')[begin : begin + _HEX_COLUMNS].hex(' ', 4)}")
    if reading.schema_id is not None:
        typer.echo(f"schema:  id {reading.schema_id}")
    if reading.fields is not None:
        typer.echo(f"{_how(reading)}:")
        typer.echo(json.dumps(reading.fields, indent=2, ensure_ascii=False))
    else:
        typer.echo("nothing of it can be read")


def show_outcome(outcome: Outcome, *, dry_run: bool) -> None:
    """What came of a redrive."""
    edited = f", {outcome.edited:,} of them corrected" if outcome.edited else ""
    typer.echo(f"{outcome.sent:,} dead letters {'would be sent' if dry_run else 'sent'}{edited}")
    _show_before(outcome.done_before)
    if not outcome.refused:
        return
    sent = "are sent although they" if outcome.forced else "are not sent: they"
    typer.echo(f"{outcome.refused.total():,} {sent} would be dead letters again", err=True)
    for reason, letters in outcome.refused.most_common():
        places = [str(letter.place) for letter, poison in outcome.named if poison.reason == reason]
        more = ", ..." if letters > len(places[:_MOST_PLACES]) else ""
        typer.echo(f"  {letters:,} {reason} ({', '.join(places[:_MOST_PLACES])}{more}): {mend_of(reason)}", err=True)


def show_dropped(dropped: Dropped, *, dry_run: bool) -> None:
    """What was dropped."""
    reasons = ", ".join(f"{letters:,} {reason}" for reason, letters in dropped.reasons.most_common())
    typer.echo(
        f"{dropped.letters:,} dead letters {'would be dropped' if dry_run else 'dropped'}"
        + (f": {reasons}" if reasons else "")
    )
    _show_before(dropped.done_before)


def show_log(entries: Sequence[Mapping[str, Any]]) -> None:
    """The commands, the last first."""
    for entry in entries:
        edited = f", {entry['edited']:,} corrected" if entry["edited"] else ""
        places = ", ".join(entry["places"][:_MOST_PLACES])
        more = ", ..." if entry["letters"] > _MOST_PLACES else ""
        typer.echo(
            f"{entry['began_at']:%Y-%m-%d %H:%M:%S}  {entry['acted_by']}  {entry['action']} {entry['letters']:,}"
            f" ({', '.join(entry['reasons'])}){edited}: {entry['why'] or 'no word on why'}"
        )
        typer.echo(f"    {places}{more}")
    if not entries:
        typer.echo("nothing was redriven or dropped yet", err=True)


def _show_before(done: Counter[State]) -> None:
    for state, letters in sorted(done.items()):
        typer.echo(f"{letters:,} were {state} before, and are left alone")


def _group_as_object(group: Group) -> dict[str, Any]:
    kind = group.kind
    return {
        "reason": kind.reason,
        "error": kind.error,
        "source_topic": kind.source_topic,
        "state": kind.state.value,
        "letters": group.letters,
        "copies": group.copies,
        "first": group.first.isoformat(timespec="milliseconds"),
        "last": group.last.isoformat(timespec="milliseconds"),
        "example": str(group.example),
        "mend": mend_of(kind.reason),
    }


def _mend(shown: Shown) -> str:
    if shown.state is not State.OPEN:
        return f"nothing is to be done: it was {shown.state}"
    return f"`taximeter dlq redrive {shown.letter.place}`" if shown.bad is None else mend_of(shown.bad.reason)


def _how(reading: Reading) -> str:
    if reading.read_as is not None:
        return f"read as version {reading.read_as}, which is a guess, as the schema is not known"
    return "read" if reading.is_whole else "read so far"


def _shown_bytes(value: bytes | None) -> str | None:
    """As text where it is text."""
    if value is None:
        return None
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return f"0x{value.hex()}"
    return text if text.isprintable() else f"0x{value.hex()}"
