"""`taximeter status`: the whole pipeline at a glance, once or live."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from taximeter_infra.cli.failures import ExitCode, told_plainly
from taximeter_infra.cli.stack_view import export_lines, show_addresses, show_health
from taximeter_infra.stack.plan import default_data_dir
from taximeter_infra.stack.running import find_running

if TYPE_CHECKING:
    from taximeter_infra.stack.plan import StackAddresses
    from taximeter_infra.status.pipeline import Whereabouts

# Between the two looks of one call: what moved meanwhile is alive.
_BETWEEN_SECONDS = 1.0
_SPOOL = "TAXIMETER_METER_SPOOL_DIR"


@told_plainly
def status(
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="Where the local stack keeps its data", show_default="$TAXIMETER_DATA_DIR or ~/.local/state/taximeter"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table")] = False,
    env: Annotated[bool, typer.Option("--env", help="Print export lines for a shell, WITH the password")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until Ctrl-C")] = False,
    interval: Annotated[float, typer.Option(min=0.2, help="Seconds between looks, with --watch")] = 2.0,
    services: Annotated[
        str,
        typer.Option(
            envvar="TAXIMETER_STATUS_SERVICES", metavar="HOST:PORT,...", help="Metrics of services to be asked, too"
        ),
    ] = "",
) -> None:
    """Say how the whole pipeline stands: green, yellow or red, and what to do.

    Looks at the servers that KAFKA_BOOTSTRAP_SERVERS and CLICKHOUSE_URL name,
    else at the local stack. Exit code 1 when something is red; with --watch 0
    after Ctrl-C, whatever is seen.

    \b
    Examples:
      taximeter status
      taximeter status --watch
      taximeter status --json --services 127.0.0.1:9101,127.0.0.1:9102
      eval "$(taximeter status --env)"
    """
    place = data_dir or default_data_dir()
    addresses = find_running(place)
    if env:
        _export(addresses, place)
        return
    if addresses is None and (data_dir is not None or not _named()):
        typer.echo(json.dumps({"running": False, "parts": []}, indent=2) if as_json else _none(place))
        raise typer.Exit(ExitCode.FAILURE)
    where = whereabouts(addresses if data_dir is not None else None, services)
    # Servers that the environment names may be others than those of the stack here.
    shown = addresses if data_dir is not None or not _named() else None
    if watch:
        from taximeter_infra.cli.status_watch import watch_pipeline
        from taximeter_infra.signals import stop_on_signals

        watch_pipeline(where, interval, stop_on_signals(), as_json=as_json)
        return
    _once(where, shown, as_json=as_json)


def whereabouts(addresses: StackAddresses | None, services: str = "") -> Whereabouts:
    """What is to be looked at: a stack, or what every other command would use. Raises Misconfigured."""
    from taximeter_consumers.quota.service.settings import QuotaSettings
    from taximeter_consumers.sink.settings import SinkSettings
    from taximeter_infra.cli import context
    from taximeter_infra.status.pipeline import Whereabouts
    from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings

    if addresses is None:
        kafka, clickhouse = context.kafka_settings(), context.clickhouse_settings()
    else:
        kafka = context.settings_of(KafkaSettings, {"bootstrap_servers": addresses.bootstrap_servers})
        clickhouse = context.settings_of(ClickHouseSettings, {"url": addresses.clickhouse_url})
    spool = os.environ.get(_SPOOL)
    return Whereabouts(
        kafka,
        clickhouse,
        context.topic_settings(),
        context.settings_of(SinkSettings, {}).group_id,
        context.settings_of(QuotaSettings, {}).group_id,
        Path(spool) if spool else None,
        [place.strip() for place in services.split(",") if place.strip()],
    )


def _once(where: Whereabouts, addresses: StackAddresses | None, *, as_json: bool) -> None:
    import time

    from taximeter_infra.cli.status_view import parts_of, show_lines, status_json
    from taximeter_infra.status.facts import Trouble
    from taximeter_infra.status.judge import judge
    from taximeter_infra.status.pipeline import Pipeline
    from taximeter_infra.status.verdicts import Level, overall

    pipeline = Pipeline(where)
    facts, before = pipeline.look(), None
    if not isinstance(facts.cluster, Trouble) and not isinstance(facts.server, Trouble):
        time.sleep(_BETWEEN_SECONDS)
        facts, before = pipeline.look(), facts
    pipeline.close()
    lines = judge(facts, before)
    parts = [] if addresses is None else parts_of(addresses, facts)
    if as_json:
        typer.echo(json.dumps(status_json(addresses, parts, lines, facts), indent=2))
    else:
        console = Console()
        if addresses is not None:
            show_health(console, parts)
            show_addresses(console, addresses)
        show_lines(console, lines)
    if overall(lines) is Level.RED:
        raise typer.Exit(ExitCode.FAILURE)


def _export(addresses: StackAddresses | None, place: Path) -> None:
    if addresses is None:
        typer.echo(_none(place), err=True)
        raise typer.Exit(ExitCode.FAILURE)
    typer.echo(export_lines(addresses))


def _none(place: Path) -> str:
    return f"no stack runs on {place}; start one with `taximeter up`"


def _named() -> bool:
    return bool(os.environ.get("KAFKA_BOOTSTRAP_SERVERS") or os.environ.get("CLICKHOUSE_URL"))
