"""What the commands of `taximeter dlq` share: their options as a choice, and the way to Kafka and ClickHouse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from taximeter_infra.cli import context
from taximeter_infra.cli.moments import parse_moment
from taximeter_infra.cli.reach import asking_kafka, open_clickhouse
from taximeter_infra.cli.replay_run import say_gone

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.dead_letters.box import LetterBox
    from taximeter_consumers.dead_letters.choice import Choice
    from taximeter_consumers.dead_letters.letter import Place
    from taximeter_consumers.replay.topic_range import Span

Places = Annotated[
    list[str] | None,
    typer.Argument(metavar="PARTITION:OFFSET", help="Only these, by their places in the dead-letter topic"),
]
Reasons = Annotated[list[str] | None, typer.Option("--reason", help="Only this reason; may be given again")]
Since = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Set aside then or later. ISO 8601, or how long ago: 90s, 15m, 2h, 7d"),
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Set aside before")]
By = Annotated[str | None, typer.Option(metavar="WHO", help="Who does it", show_default="the user of this system")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of text")]
_STATEMENT_SECONDS = 600


@dataclass(frozen=True)
class Asked:
    """The options that choose letters, as they were typed."""

    places: Sequence[str] | None = None
    reasons: Sequence[str] | None = None
    since: str | None = None
    until: str | None = None

    @property
    def is_all(self) -> bool:
        """Whether nothing was said, so that all are meant."""
        return not (self.places or self.reasons or self.since or self.until)

    def choice(self) -> Choice:
        """Raises typer.BadParameter."""
        from taximeter_consumers.dead_letters.choice import Choice

        now = datetime.now(UTC)
        return Choice(
            frozenset(self.reasons or ()),
            frozenset(place_of(text) for text in self.places or ()),
            None if self.since is None else parse_moment(self.since, now, "--since"),
            None if self.until is None else parse_moment(self.until, now, "--until"),
        )


def place_of(text: str) -> Place:
    """Raises typer.BadParameter."""
    from taximeter_consumers.dead_letters.letter import Place

    try:
        return Place.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@contextmanager
def clickhouse() -> Iterator[ClickHouse]:
    """The database that has the memory."""
    with closing(open_clickhouse(context.clickhouse_settings(), timeout_seconds=_STATEMENT_SECONDS)) as opened:
        yield opened


@contextmanager
def letter_box() -> Iterator[LetterBox]:
    """The dead-letter topic."""
    from taximeter_consumers.dead_letters.box import LetterBox

    kafka = context.kafka_settings()
    with asking_kafka(kafka):
        box = LetterBox(kafka, context.topic_settings().dead_letters)
    with closing(box):
        yield box


def spans_of(box: LetterBox, choice: Choice) -> tuple[list[Span], int]:
    """What must be read, and how many messages that is at most; says what retention has deleted of it."""
    spans = box.spans(choice)
    say_gone(spans)
    return spans, sum(span.end - span.first for span in spans)
