"""`taximeter simulate`: seeded events into Kafka, or the independent count of them."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taximeter_infra.cli.failures import ExitCode, told_plainly
from taximeter_infra.cli.moments import parse_moment
from taximeter_infra.cli.panels import Panel
from taximeter_infra.cli.reach import asking_kafka

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taximeter_infra.simulate.plan import SimulationPlan
    from taximeter_infra.simulate.sending import Pacing, Sent
    from taximeter_schemas.event import MeterEvent

DEFAULT_EVENTS = 1_000


@told_plainly
def simulate(
    events: Annotated[
        int | None, typer.Option(min=1, help="How many", show_default="1000, or every row of the trace")
    ] = None,
    rate: Annotated[float, typer.Option(min=0, help="Events per second; 0 sends as fast as possible")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed and options give the same events and ids")] = 0,
    runs: Annotated[
        int | None, typer.Option(min=1, help="How many runs they form", show_default="one for every 20")
    ] = None,
    accounts: Annotated[int, typer.Option(min=1, help="How many accounts they belong to")] = 12,
    trace: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="One AI event per row of TIMESTAMP, ContextTokens, GeneratedTokens"),
    ] = None,
    speed: Annotated[float, typer.Option(min=0, help="Send at the events' own times, this many times faster")] = 0.0,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="When the simulated clock starts", show_default="seed % 90 days after 2026-06-01"
        ),
    ] = None,
    expect: Annotated[bool, typer.Option("--expect", help="Send nothing; print the independent count as JSON")] = False,
    prices: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help='For --expect: {"provider/model": {"input_tokens": "0.000001"}}'),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text")] = False,
) -> None:
    """Send realistic events to Kafka. Sent again with the same seed they are duplicates, and storage collapses them.

    \b
    Examples:
      taximeter simulate --events 200000 --seed 7
      taximeter simulate --events 200000 --seed 7 --expect
      taximeter simulate --rate 50 --events 100000 --start 0s
      taximeter simulate --trace AzureLLMInferenceTrace_conv.csv --speed 60
    """
    from taximeter_infra.simulate.plan import DEFAULT_PACE, SimulationPlan
    from taximeter_infra.simulate.sending import Pacing
    from taximeter_infra.simulate.trace import read_trace, trace_events

    if rate and speed:
        raise typer.BadParameter("--rate and --speed exclude each other")
    rows = None if trace is None else read_trace(trace, events)
    plan = SimulationPlan(
        events=len(rows) if rows is not None else events or DEFAULT_EVENTS,
        seed=seed,
        runs=runs,
        accounts=accounts,
        start=None if start is None else parse_moment(start, datetime.now(UTC), "--start"),
        pace=rate or DEFAULT_PACE,
    )
    # Events hold no cycles, and looking for some among so many objects would take a third of the time.
    gc.set_threshold(100_000, 50, 100)
    stream = _generated(plan) if rows is None else trace_events(plan, rows)
    if expect:
        _print_expected(stream, prices)
        return
    outcome = _send(plan, stream, Pacing(rate, speed), as_json)
    if outcome.unacknowledged:
        typer.echo(f"error: {outcome.unacknowledged} events were not acknowledged. {outcome.reason}", err=True)
        raise typer.Exit(ExitCode.FAILURE)


def register(app: typer.Typer) -> None:
    """Put this command on the app."""
    app.command(
        short_help="Send realistic events to Kafka, the same for the same seed.", rich_help_panel=Panel.PIPELINE
    )(simulate)


def _generated(plan: SimulationPlan) -> Iterator[MeterEvent]:
    from taximeter_infra.simulate.generator import events

    return events(plan)


def _print_expected(events: Iterable[MeterEvent], prices: Path | None) -> None:
    from taximeter_infra.simulate.catalogue import list_prices, read_prices
    from taximeter_infra.simulate.expected import expect

    book = list_prices() if prices is None else read_prices(prices)
    typer.echo(json.dumps(expect(events, book).as_json(), indent=2))


def _send(plan: SimulationPlan, events: Iterable[MeterEvent], pacing: Pacing, as_json: bool) -> Sent:
    from taximeter_infra.cli import context
    from taximeter_infra.simulate.sending import EventSender

    topic = context.topic_settings().events
    kafka = context.kafka_settings()
    with asking_kafka(kafka):
        sender = EventSender(kafka, context.registry(), topic)
    with _progress(plan.events) as on_progress:
        sent = sender.send(events, pacing, on_progress)
    per_second = round(sent.acknowledged / sent.seconds, 1) if sent.seconds else 0.0
    facts: dict[str, Any] = {
        "topic": topic,
        "seed": plan.seed,
        "produced": sent.produced,
        "acknowledged": sent.acknowledged,
        "unacknowledged": sent.unacknowledged,
        "seconds": round(sent.seconds, 3),
        "events_per_second": per_second,
        "interrupted": sent.interrupted,
    }
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
    else:
        begin, of_all = ("interrupted: ", f" of {plan.events:,}") if sent.interrupted else ("", "")
        typer.echo(
            f"{begin}{sent.acknowledged:,}{of_all} events are in {topic}, sent in {sent.seconds:.1f} s ({per_second}/s)"
        )
    return sent


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error where that is a terminal, and silence elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("simulate"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("simulate", total=total)
        yield lambda acknowledged: bar.update(task, completed=acknowledged)
