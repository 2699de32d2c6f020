"""`taximeter dlq redrive` and `drop`: what changes how dead letters stand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taximeter_infra.cli import context, dlq_view
from taximeter_infra.cli.dlq_open import (
    AsJson,
    Asked,
    By,
    Places,
    Reasons,
    Since,
    Until,
    clickhouse,
    letter_box,
    spans_of,
)
from taximeter_infra.cli.failures import ExitCode, told_plainly
from taximeter_infra.cli.replay_progress import progress
from taximeter_infra.cli.who import who

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from taximeter_consumers.dead_letters.lines import Outgoing
    from taximeter_consumers.dead_letters.memory import Order
    from taximeter_consumers.replay.topic_copy import TopicCopy

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count")]
# As large as the broker lets in: what was a record once is small enough.
_ANY_SIZE = {"message.max.bytes": "1000000000"}


@told_plainly
def redrive(
    places: Places = None,
    reason: Reasons = None,
    since: Since = None,
    until: Until = None,
    from_file: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Send what this export says, as it was corrected")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Also send what would be a dead letter again")] = False,
    rate: Annotated[float, typer.Option(min=0, help="At most so many a second; 0: no limit")] = 0.0,
    why: Annotated[str, typer.Option(metavar="TEXT", help="What was mended; for `taximeter dlq log`")] = "",
    by: By = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Send dead letters to the events' topic again, once what was wrong with them is mended.

    Each is tried out first; what would be a dead letter again is not sent,
    and the exit code is 3. What was redriven or dropped before is not sent.
    Records go as they were, under the same ids; of an export whose events
    were corrected those that were. Killed, the same command sends the rest.

    \b
    Examples:
      taximeter dlq redrive --reason unknown_schema --dry-run
      taximeter dlq redrive --reason unknown_schema --why "schema 7 is registered"
      taximeter dlq redrive 0:1041 2:17
      taximeter dlq redrive --from corrected.jsonl --rate 500
    """
    from taximeter_consumers.dead_letters.choice import State
    from taximeter_consumers.dead_letters.files import refuse_stream
    from taximeter_consumers.dead_letters.memory import Memory, Order
    from taximeter_consumers.dead_letters.redrive import Conduct
    from taximeter_consumers.dead_letters.redrive import redrive as redrive_letters
    from taximeter_consumers.dead_letters.trial import Trial
    from taximeter_consumers.replay.pace import Pace

    if from_file is not None:
        refuse_stream(from_file)
    asked, topics = Asked(places, reason, since, until), context.topic_settings()
    order = Order(State.REDRIVEN, who(by), why, topics.dead_letters, topics.events)
    with clickhouse() as opened, _outgoing(asked, from_file) as (letters, told):
        conduct = Conduct(None if dry_run else _sender(order), force, Pace(rate), told)
        outcome = redrive_letters(letters, Memory(opened), Trial(opened, context.registry()), order, conduct)
    if as_json:
        typer.echo(json.dumps(outcome.as_json(), indent=2, ensure_ascii=False))
    else:
        dlq_view.show_outcome(outcome, dry_run=dry_run)
    if outcome.refused and not force:
        raise typer.Exit(ExitCode.CHECK_FAILED)


@told_plainly
def drop(
    places: Places = None,
    reason: Reasons = None,
    since: Since = None,
    until: Until = None,
    everything: Annotated[bool, typer.Option("--everything", help="All open ones, where nothing else is said")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Yes, drop them")] = False,
    why: Annotated[str, typer.Option(metavar="TEXT", help="Why; kept for `taximeter dlq log`")] = "",
    by: By = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Mark dead letters as dropped: they are listed and redriven no more. It wants --yes and --why.

    Kafka keeps their bytes until retention. Who dropped what, when and why
    stays in ClickHouse.

    \b
    Examples:
      taximeter dlq drop --reason not_framed --dry-run
      taximeter dlq drop --reason not_framed --yes --why "a health check wrote to the topic"
      taximeter dlq drop 0:1041 --yes --why "a test record"
    """
    from taximeter_consumers.dead_letters.choice import State
    from taximeter_consumers.dead_letters.drop import drop as drop_letters
    from taximeter_consumers.dead_letters.memory import Memory, Order

    asked = Asked(places, reason, since, until)
    if not dry_run and not (yes and why.strip()):
        raise typer.BadParameter("dropping wants --yes and --why TEXT; --dry-run only counts")
    if asked.is_all != everything:
        raise typer.BadParameter("say which: places, --reason, --since, --until; or --everything, and none of them")
    choice, topics = asked.choice(), context.topic_settings()
    order = None if dry_run else Order(State.DROPPED, who(by), why.strip(), topics.dead_letters)
    with clickhouse() as opened, letter_box() as box:
        spans, total = spans_of(box, choice)
        with progress("drop", total) as told:
            dropped = drop_letters(box.letters(choice, spans), Memory(opened), order, told)
    if as_json:
        typer.echo(json.dumps(dropped.as_json(), indent=2))
    else:
        dlq_view.show_dropped(dropped, dry_run=dry_run)


def register(dlq: typer.Typer) -> None:
    """Put these commands on `taximeter dlq`."""
    dlq.command()(redrive)
    dlq.command()(drop)


@contextmanager
def _outgoing(asked: Asked, path: Path | None) -> Iterator[tuple[Iterable[Outgoing], Callable[[int], None]]]:
    """What is to be sent, each letter once, and who is told how far it is. A file is checked to its end first."""
    from taximeter_consumers.dead_letters.choice import once
    from taximeter_consumers.dead_letters.files import read_file
    from taximeter_consumers.dead_letters.lines import as_is

    choice = asked.choice()
    if path is None:
        with letter_box() as box:
            spans, total = spans_of(box, choice)
            with progress("redrive", total) as told:
                yield map(as_is, box.letters(choice, spans)), told
        return
    registry = context.registry()
    total = sum(choice.has(one.letter) for one in read_file(path, registry))
    chosen = (one for one in read_file(path, registry) if choice.has(one.letter))
    with progress("redrive", total) as told:
        yield once(chosen, lambda one: one.letter.letter_id), told


def _sender(order: Order) -> TopicCopy:
    from taximeter_consumers.replay.topic_copy import TopicCopy

    kafka = context.kafka_settings()
    return TopicCopy(kafka.model_copy(update={"options": {**_ANY_SIZE, **kafka.options}}), order.target)
