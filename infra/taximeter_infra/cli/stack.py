"""The commands of the local stack: `up`, `down`, `doctor`; and `status`, which is about the whole pipeline."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Annotated, Literal

import typer
from pydantic import SecretStr
from rich.console import Console

from taximeter_infra.cli.failures import ExitCode, told_plainly
from taximeter_infra.cli.panels import Panel
from taximeter_infra.cli.stack_view import show_addresses, show_findings, show_health
from taximeter_infra.cli.status import status
from taximeter_infra.stack.daemon import start_detached
from taximeter_infra.stack.doctor import diagnose
from taximeter_infra.stack.local_stack import LocalStack
from taximeter_infra.stack.plan import (
    CLICKHOUSE_HTTP_PORT,
    CLICKHOUSE_TCP_PORT,
    CONTROLLER_PORT,
    KAFKA_PORT,
    StackAddresses,
    StackPlan,
    default_data_dir,
)
from taximeter_infra.stack.probes import ask_parts
from taximeter_infra.stack.running import stop_running
from taximeter_schemas.errors import Retryable

DataDir = Annotated[
    Path | None,
    typer.Option(help="Where data and logs are kept", show_default="$TAXIMETER_DATA_DIR or ~/.local/state/taximeter"),
]
BrokerOption = Annotated[
    Literal["auto", "kafka", "tansu"],
    typer.Option(help="Which broker: Apache Kafka (Java 17+, Maven), Tansu (in memory), or what the machine allows"),
]
KafkaOption = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Use this Kafka and start none")]
ClickHouseOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="TAXIMETER_CLICKHOUSE",
        help="Use this ClickHouse and start none. With a password in it, give it by the variable: a command line is"
        " visible to every user of the machine",
    ),
]
KafkaPort = Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free one")]
ControllerPort = Annotated[int, typer.Option(min=0, max=65535, help="Kafka's controller; 0 picks a free one")]
HttpPort = Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free one")]
TcpPort = Annotated[int, typer.Option(min=0, max=65535, help="Native protocol; 0 picks a free one")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object instead of a table")]
BEAT_SECONDS = 0.5
NEXT = "next:       taximeter simulate, then sink --until-caught-up, aggregate, report models"


@told_plainly
def up(
    data_dir: DataDir = None,
    broker: BrokerOption = "auto",
    kafka: KafkaOption = None,
    clickhouse: ClickHouseOption = None,
    kafka_port: KafkaPort = KAFKA_PORT,
    controller_port: ControllerPort = CONTROLLER_PORT,
    clickhouse_http_port: HttpPort = CLICKHOUSE_HTTP_PORT,
    clickhouse_tcp_port: TcpPort = CLICKHOUSE_TCP_PORT,
    detach: Annotated[bool, typer.Option("--detach", help="Run in the background and return when ready")] = False,
) -> None:
    """Start a broker and ClickHouse on this machine, on loopback only. Ctrl-C stops them.

    \b
    Examples:
      taximeter up
      taximeter up --detach && eval "$(taximeter status --env)"
      taximeter up --broker tansu --clickhouse-http-port 0
      taximeter up --kafka kafka.internal:9092
    """
    plan = StackPlan(
        data_dir=data_dir or default_data_dir(),
        kafka=kafka,
        clickhouse=SecretStr(clickhouse) if clickhouse else None,
        broker=broker,
        kafka_port=kafka_port,
        controller_port=controller_port,
        clickhouse_http_port=clickhouse_http_port,
        clickhouse_tcp_port=clickhouse_tcp_port,
    )
    console = Console()
    if not detach:
        run_in_foreground(plan, console, _prepare)
        return
    addresses = start_detached(plan, _line_printer(console), _prepare)
    show_health(console, ask_parts(addresses))
    show_addresses(console, addresses)
    console.print("the stack runs in the background; `taximeter down` stops it", highlight=False)
    console.print(NEXT, highlight=False, soft_wrap=True)


@told_plainly
def down(data_dir: DataDir = None) -> None:
    """Stop the stack that runs on the data directory. Its data stay.

    \b
    Examples:
      taximeter down
      taximeter down --data-dir /tmp/meter
    """
    place = data_dir or default_data_dir()
    typer.echo(f"stopped the stack on {place}" if stop_running(place) else f"no stack runs on {place}")


@told_plainly
def doctor(
    data_dir: DataDir = None,
    broker: BrokerOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Look at what this machine has and lacks for the local stack; exit code 1 when something would fail.

    \b
    Examples:
      taximeter doctor
      taximeter doctor --broker kafka --json
    """
    findings = diagnose(StackPlan(data_dir=data_dir or default_data_dir(), broker=broker))
    failed = any(finding.status == "fail" for finding in findings)
    if as_json:
        typer.echo(json.dumps({"ok": not failed, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        show_findings(Console(), findings)
    if failed:
        raise typer.Exit(ExitCode.FAILURE)


def register(app: typer.Typer) -> None:
    """Put these commands on the app."""
    told = {
        up: "Start a broker and ClickHouse on this machine.",
        down: "Stop them. Their data stay.",
        status: "Say how the whole pipeline stands, once or live.",
        doctor: "Say what this machine lacks, and how to mend it.",
    }
    for command, short in told.items():
        app.command(short_help=short, rich_help_panel=Panel.STACK)(command)


def run_in_foreground(plan: StackPlan, console: Console, on_ready: Callable[[StackAddresses], None]) -> None:
    """Run the stack until Ctrl-C, SIGTERM, or a part that is down for good (exit code 1)."""
    asked = _interrupted_by_signals()
    stack, beat = LocalStack(plan), threading.Event()
    try:
        on_ready(stack.start(_line_printer(console)))
        show_addresses(console, stack.addresses)
        console.print(NEXT, highlight=False, soft_wrap=True)
        console.print("Ctrl-C stops the stack", highlight=False)
        shown = None
        while stack.alive:
            _interrupt_if(asked)
            health = stack.poll()
            if health != shown:
                show_health(console, health)
                shown = health
            beat.wait(BEAT_SECONDS)
    except KeyboardInterrupt:
        _ignore_interrupts()
        console.print("stopping", highlight=False)
        stack.stop()
        console.print("the stack is stopped", highlight=False)
    else:
        show_health(console, stack.poll())
        raise Retryable("a part of the stack is down for good, so all of it was stopped; its data are kept")
    finally:
        _ignore_interrupts()
        stack.stop()


def _prepare(addresses: StackAddresses) -> None:
    from taximeter_infra.prepare import prepare

    prepare(addresses)


def _line_printer(console: Console) -> Callable[[str], None]:
    return lambda line: console.print(line, soft_wrap=True, markup=False, highlight=False)


def _interrupted_by_signals() -> threading.Event:
    """Makes SIGTERM and Ctrl-C a KeyboardInterrupt, and sets the event. An exception that is raised inside a destructor
    or a library's callback is lost; the event is not."""
    asked = threading.Event()

    def heard(_number: int, _frame: FrameType | None) -> None:
        asked.set()
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, heard)
    return asked


def _interrupt_if(asked: threading.Event) -> None:
    if asked.is_set():
        raise KeyboardInterrupt


def _ignore_interrupts() -> None:
    """From here on a second Ctrl-C must not interrupt the stop."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
