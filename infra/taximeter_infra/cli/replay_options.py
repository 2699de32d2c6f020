"""What `taximeter replay` was asked, as values: checked against one another before anything is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from taximeter_infra.cli.moments import parse_moment

if TYPE_CHECKING:
    from taximeter_consumers.replay.event_filter import EventFilter
    from taximeter_consumers.replay.topic_range import Offsets, TopicRange
    from taximeter_consumers.shadow.database import ChosenBook

Many = Sequence[str] | None


@dataclass(frozen=True)
class Range:
    """Where from, and which part of it."""

    topic: str | None = None
    from_dlq: bool = False
    from_archive: tuple[Path, ...] = ()
    from_offset: Many = None
    to_offset: Many = None
    since: str | None = None
    until: str | None = None
    partition: Sequence[int] | None = None

    def parsed(self, now: datetime) -> TopicRange:
        """Raises typer.BadParameter."""
        from taximeter_consumers.replay.topic_range import TopicRange

        return TopicRange(
            frozenset(self.partition or ()),
            parse_offsets(self.from_offset or (), "--from-offset"),
            parse_offsets(self.to_offset or (), "--to-offset"),
            moment(self.since, now, "--since"),
            moment(self.until, now, "--until"),
        )


@dataclass(frozen=True)
class Wanted:
    """Which events."""

    run: Many = None
    account: Many = None
    workflow: Many = None
    user: Many = None
    model: Many = None
    occurred_from: str | None = None
    occurred_until: str | None = None

    def parsed(self, now: datetime) -> EventFilter:
        """Raises typer.BadParameter."""
        from taximeter_consumers.replay.event_filter import EventFilter

        return EventFilter(
            frozenset(self.run or ()),
            frozenset(self.account or ()),
            frozenset(self.workflow or ()),
            frozenset(self.user or ()),
            frozenset(self.model or ()),
            moment(self.occurred_from, now, "--occurred-from"),
            moment(self.occurred_until, now, "--occurred-until"),
        )


@dataclass(frozen=True)
class Chosen:
    """Where to, apart from a shadow."""

    to_file: Path | None = None
    to_topic: str | None = None
    to_clickhouse: bool = False
    dry_run: bool = False

    @property
    def to_stdout(self) -> bool:
        """Whether events themselves are on standard output."""
        return self == Chosen()


@dataclass(frozen=True)
class ShadowWish:
    """What is to be done with a shadow."""

    name: str | None = None
    diff: bool = False
    swap: bool = False
    undo: bool = False
    drop: bool = False
    fresh: bool = False
    book: int | None = None
    as_of: str | None = None
    copy_missing: bool = False
    yes: bool = False

    def chosen_book(self, now: datetime) -> ChosenBook | None:
        """Raises typer.BadParameter."""
        from taximeter_consumers.shadow.database import ChosenBook

        if self.book is None and self.as_of is None:
            return None
        return ChosenBook(self.book, moment(self.as_of, now, "--as-of"))


@dataclass(frozen=True)
class Options:
    """The whole command."""

    range: Range
    wanted: Wanted
    chosen: Chosen
    shadow: ShadowWish
    rate: float = 0.0
    skip_bad: bool = False
    as_json: bool = False

    def check(self) -> None:
        """Raises typer.BadParameter for options that exclude each other."""
        source, target, shadow = self.range, self.chosen, self.shadow
        if sum((source.topic is not None, source.from_dlq, bool(source.from_archive))) > 1:
            raise typer.BadParameter("--topic, --from-dlq and --from-archive exclude each other")
        targets = (target.to_file is not None, target.to_topic is not None, target.to_clickhouse)
        if sum((*targets, shadow.name is not None)) > 1:
            raise typer.BadParameter("--to-file, --to-topic, --to-clickhouse and --shadow exclude each other")
        if target.dry_run and any(targets):
            raise typer.BadParameter("--dry-run only counts: it goes with none of the targets but --shadow")
        if shadow.name is None:
            if shadow != ShadowWish():
                raise typer.BadParameter("this option is about a shadow: name it with --shadow")
            return
        if self.wanted != Wanted():
            raise typer.BadParameter("a shadow holds whole batches: choose a range of its source, not single events")
        if sum((shadow.swap, shadow.undo, shadow.drop, shadow.fresh)) > 1:
            raise typer.BadParameter("--swap, --undo, --drop and --fresh exclude each other")
        if shadow.book is not None and shadow.as_of is not None:
            raise typer.BadParameter("--book and --as-of exclude each other")

    def identity(self) -> tuple[object, ...]:
        """What names this command among others: equal for the same command given again."""
        return (self.range, self.wanted, replace(self.chosen, dry_run=False))


def moment(text: str | None, now: datetime, option: str) -> datetime | None:
    """An instant, where one was given. Raises typer.BadParameter."""
    return None if text is None else parse_moment(text, now, option)


def parse_offsets(given: Sequence[str], option: str | None = None) -> Offsets:
    """`1200` for every partition, `3:1200` for one. Raises typer.BadParameter."""
    from taximeter_consumers.replay.topic_range import Offsets

    everywhere: int | None = None
    own: dict[int, int] = {}
    for text in given:
        partition, _, offset = text.rpartition(":")
        if not offset.isdecimal() or (":" in text and not partition.isdecimal()):
            raise typer.BadParameter(f"{text!r} is not OFFSET or PARTITION:OFFSET", param_hint=option)
        if partition:
            own[int(partition)] = int(offset)
        else:
            everywhere = int(offset)
    return Offsets(everywhere, own)
