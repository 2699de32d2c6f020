"""`taximeter tail`: events as they arrive, one line each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from taximeter_infra.cli.failures import told_plainly
from taximeter_infra.cli.panels import Panel
from taximeter_infra.cli.reach import asking_kafka

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Message

    from taximeter_schemas.event import MeterEvent

COLOURS = {"success": "green", "error": "red", "timeout": "yellow", "cancelled": "magenta"}


@told_plainly
def tail(
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="Begin with the oldest event")] = False,
    run: Annotated[list[str] | None, typer.Option(metavar="RUN_ID", help="Only this run; may be given again")] = None,
    account: Annotated[list[str] | None, typer.Option(metavar="ACCOUNT_ID", help="Only this account")] = None,
    workflow: Annotated[list[str] | None, typer.Option(metavar="WORKFLOW_ID", help="Only this workflow")] = None,
    topic: Annotated[str | None, typer.Option(help="Follow this topic", show_default="the events' topic")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="End after as many events")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line")] = False,
) -> None:
    """Follow the events from now on. Ctrl-C ends it. No group is joined, nothing is committed.

    \b
    Examples:
      taximeter tail
      taximeter tail --account acct-001 --workflow invoice-triage
      taximeter tail --from-beginning --limit 10 --json
    """
    from taximeter_consumers.replay.event_filter import EventFilter
    from taximeter_consumers.replay.topic_reader import TopicReader
    from taximeter_infra.cli import context
    from taximeter_schemas import codec
    from taximeter_schemas.errors import Poison

    wanted = EventFilter(frozenset(run or ()), frozenset(account or ()), frozenset(workflow or ()))
    show = _json_line if as_json else _rich_line()
    registry = context.registry()
    kafka = context.kafka_settings()
    with asking_kafka(kafka):
        reader = TopicReader(kafka, topic or context.topic_settings().events)
    shown = 0
    try:
        for message in reader.follow(from_beginning):
            if message is None:
                continue
            try:
                event = codec.decode(message.value(), registry)
            except Poison as poison:
                place = f"{message.topic()} {message.partition()}:{message.offset()}"
                typer.echo(f"undecodable: {place} {poison.reason}", err=True)
                continue
            if wanted.selects(event):
                show(message, event)
                shown += 1
                if shown == limit:
                    break
    except KeyboardInterrupt:
        pass
    finally:
        reader.close()


def register(app: typer.Typer) -> None:
    """Put this command on the app."""
    app.command(short_help="Follow the events as they come.", rich_help_panel=Panel.ANSWERS)(tail)


def _json_line(message: Message, event: MeterEvent) -> None:
    from taximeter_consumers.replay.destinations import as_json

    typer.echo(json.dumps(as_json(message, event), ensure_ascii=False))


def _rich_line() -> Callable[[Message, MeterEvent], None]:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)

    def show(_message: Message, event: MeterEvent) -> None:
        outcome = event.outcome.value
        console.print(
            Text.assemble(
                (f"{event.occurred_at:%m-%d %H:%M:%S} ", "dim"),
                (f"{event.account_id}/{event.workflow_id} ", "cyan"),
                (f"{event.run_id} ", "dim"),
                f"{event.node_id}#{event.attempt} ",
                (f"{outcome} ", COLOURS.get(outcome, "white")),
                use_of(event),
            )
        )

    return show


def use_of(event: MeterEvent) -> str:
    """What the event used, in a few words."""
    words = [f"{event.duration_us / 1e6:.2f}s"] if event.duration_us else []
    if event.ai is not None:
        unknown = event.ai.quality == "missing" and not event.ai.total_tokens
        used = "unknown" if unknown else f"{event.ai.input_tokens}>{event.ai.output_tokens}"
        words.append(f"{event.ai.model} {used} tokens")
        words += [f"{count} {unit}" for unit, count in event.ai.units.items()]
        if event.ai.service_tier not in {"", "standard"}:
            words.append(f"({event.ai.service_tier})")
        if event.ai.quality != "reported":
            words.append(f"({event.ai.quality.value})")
    if event.http is not None:
        words.append(f"{event.http.requests} requests, {event.http.bytes_in} bytes in")
    if event.plugin is not None:
        words.append(f"{event.plugin.plugin_id} x{event.plugin.invocations}")
    if event.code is not None:
        words.append(f"{event.code.cpu_us / 1e6:.2f}s CPU, {event.code.max_rss_bytes >> 20} MiB")
    return " ".join(words)
