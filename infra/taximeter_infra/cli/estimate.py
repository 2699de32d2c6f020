"""`taximeter estimate`: what a call would cost, before it is made."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated

import typer

from taximeter_infra.cli.failures import ExitCode, told_plainly
from taximeter_infra.cli.panels import Panel
from taximeter_infra.cli.reach import open_clickhouse


@told_plainly
def estimate(
    provider: Annotated[str, typer.Argument(help="As in the events or in the book: openai, azure, aws-bedrock, ...")],
    model: Annotated[str, typer.Argument(help="As a call would name it")],
    input_tokens: Annotated[int, typer.Option(min=0, help="With cache reads and writes in them")] = 0,
    output_tokens: Annotated[int, typer.Option(min=0, help="With reasoning in them")] = 0,
    cache_read_tokens: Annotated[int, typer.Option("--cache-read-tokens", min=0, help="Of the input")] = 0,
    cache_write_tokens: Annotated[int, typer.Option("--cache-write-tokens", min=0, help="Of the input")] = 0,
    reasoning_tokens: Annotated[int, typer.Option(min=0, help="Of the output")] = 0,
    unit: Annotated[
        list[str] | None, typer.Option(metavar="UNIT=COUNT", help="Any further unit, images=2; may be given again")
    ] = None,
    service_tier: Annotated[str, typer.Option(help="standard, batch, flex, priority, ...")] = "",
    account: Annotated[str, typer.Option(metavar="ID", help="As this account pays", show_default="everybody")] = "",
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="At this time: ISO 8601 (UTC), or how long ago", show_default="now"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON with exact amounts instead of a table")] = False,
) -> None:
    """What a call would cost by the price book; exit code 3 where a price is lacking.

    \b
    Examples:
      taximeter estimate openai gpt-4o --input-tokens 1000 --output-tokens 500
      taximeter estimate anthropic claude-sonnet-4-5 --input-tokens 250000 --cache-read-tokens 240000
      taximeter estimate openai gpt-4o --input-tokens 1000 --service-tier batch --account acme --json
    """
    from taximeter_consumers.pricing.estimate import Call
    from taximeter_consumers.pricing.estimate import estimate as ask
    from taximeter_infra.cli.context import clickhouse_settings
    from taximeter_infra.cli.moments import parse_moment
    from taximeter_infra.cli.prices_view import estimate_object, show_estimate
    from taximeter_infra.cli.report_view import print_json

    units = {
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "cache_read_tokens": cache_read_tokens,
        "cache_write_tokens": cache_write_tokens,
        "reasoning_tokens": reasoning_tokens,
        **dict(_counted(text) for text in unit or ()),
    }
    call = Call(provider, model, units, account, service_tier)
    moment = None if at is None else parse_moment(at, datetime.now(UTC), "--at")
    with closing(open_clickhouse(clickhouse_settings())) as clickhouse:
        found = ask(clickhouse, call, moment)
    if as_json:
        print_json(estimate_object(found))
    else:
        show_estimate(found)
    if found.cost_source == "unpriced":
        raise typer.Exit(ExitCode.CHECK_FAILED)


def register(app: typer.Typer) -> None:
    """Put this command on the app."""
    app.command(short_help="What a call would cost, before it is made.", rich_help_panel=Panel.MONEY)(estimate)


def _counted(text: str) -> tuple[str, int]:
    name, _, count = text.partition("=")
    if not name or not count.isdigit():
        raise typer.BadParameter(f"{text!r} is not like images=2", param_hint="--unit")
    return name.strip(), int(count)
