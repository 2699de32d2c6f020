"""`taximeter prices`: the price book, what it says, what it lacks, and how it grows."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taximeter_infra.cli import prices_set
from taximeter_infra.cli.failures import ExitCode, told_plainly
from taximeter_infra.cli.panels import Panel
from taximeter_infra.cli.reach import open_clickhouse

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

Account = Annotated[str, typer.Option(metavar="ID", help="As this account pays", show_default="everybody")]
At = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="At this time: ISO 8601 (UTC), or how long ago: 7d", show_default="now"),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON with exact amounts instead of a table")]

prices = typer.Typer(no_args_is_help=True, help="The price book: what models, plugins and resources cost.")


@prices.command("list")
@told_plainly
def list_prices(
    provider: Annotated[str | None, typer.Option(help="Only this provider")] = None,
    account: Account = "",
    at: At = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many rows; JSON has all")] = 50,
    as_json: AsJson = False,
) -> None:
    """Models with their prices at an instant.

    \b
    Examples:
      taximeter prices list --provider anthropic
      taximeter prices list --account acme --at 2026-06-01 --json
    """
    from taximeter_consumers.pricing.estimate import list_models
    from taximeter_infra.cli.prices_view import show_models
    from taximeter_infra.cli.report_view import print_json

    with closing(_connect()) as clickhouse:
        models = list_models(clickhouse, _moment(at), provider=provider or "", account_id=account)
    if as_json:
        print_json({"models": [asdict(model) for model in models]})
    elif models:
        show_models(models, limit)
    else:
        typer.echo("no model with a price; `taximeter prices sync` fills the book")


@prices.command()
@told_plainly
def show(
    provider: Annotated[str, typer.Argument(help="As in the events or in the book; or plugin, or resource")],
    model: Annotated[str, typer.Argument(help="As in the events or in the book; a plugin's id")] = "",
    account: Annotated[
        str | None, typer.Option(metavar="ID", help="Only everybody's prices and this account's")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Every dated price of one model, with its source.

    \b
    Examples:
      taximeter prices show openai gpt-4o-2024-08-06
      taximeter prices show plugin pdf-reader --json
      taximeter prices show resource
    """
    from taximeter_consumers.pricing.aliases import book_names
    from taximeter_consumers.pricing.book import read_discounts, read_rates
    from taximeter_consumers.pricing.estimate import find_model
    from taximeter_consumers.pricing.units import PLUGIN, RESOURCE
    from taximeter_infra.cli.price_words import rate_object
    from taximeter_infra.cli.prices_view import show_rates
    from taximeter_infra.cli.report_view import print_json

    with closing(_connect()) as clickhouse:
        own = provider in (PLUGIN, RESOURCE)
        name = (provider, model) if own else find_model(provider, model, book_names(clickhouse))
        where = "provider = {provider:String} AND model = {model:String}"
        rates = read_rates(clickhouse, where, {"provider": name[0], "model": name[1]})
        discounts = [
            one for one in read_discounts(clickhouse) if (one.provider or name[0], one.model or name[1]) == name
        ]
    rates = [rate for rate in rates if account is None or rate.account_id in ("", account)]
    discounts = [] if own else [one for one in discounts if account is None or one.account_id == account]
    if as_json:
        told: dict[str, Any] = {"provider": name[0], "model": name[1], "prices": [rate_object(rate) for rate in rates]}
        print_json({**told, "discounts": [asdict(one) for one in discounts]})
    elif rates:
        called = "" if (provider, model) == name else f" (here: {provider}/{model})"
        show_rates("/".join(word for word in name if word) + called, rates, discounts)
    else:
        typer.echo(f"no price of {' '.join(word for word in name if word)}; `taximeter prices set` adds one")


@prices.command()
@told_plainly
def sync(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be appended, and append nothing")] = False,
    as_json: AsJson = False,
) -> None:
    """Append what the installed price package says and the book does not.

    Nothing is edited and nothing is fetched. Calls that have been priced keep
    their price until `taximeter reprice`; doing it again changes nothing.

    \b
    Examples:
      taximeter prices sync --dry-run
      taximeter prices sync --json
    """
    from taximeter_consumers.pricing.sync import sync as append_new
    from taximeter_infra.cli.price_words import rate_object
    from taximeter_infra.cli.prices_view import show_difference
    from taximeter_infra.cli.report_view import print_json

    with closing(_connect()) as clickhouse:
        difference = append_new(clickhouse, dry_run=dry_run)
    if as_json:
        changes = [{"kind": one.kind, "before": one.before, **rate_object(one.rate)} for one in difference.changes]
        overruled = [rate_object(rate) for rate in difference.overruled]
        told = {"dry_run": dry_run, "appended": changes, "overruled": overruled, "vanished": list(difference.vanished)}
        print_json(told)
    else:
        show_difference(difference, dry_run=dry_run)


@prices.command()
@told_plainly
def unmatched(
    account: Annotated[str, typer.Option(metavar="ID", help="Only this account's calls", show_default="all")] = "",
    as_json: AsJson = False,
) -> None:
    """What has been used and has no price: models, units, plugins; with the command that mends it.

    \b
    Examples:
      taximeter prices unmatched
      taximeter prices unmatched --account acme --json
    """
    from taximeter_consumers.pricing.unpriced import unpriced
    from taximeter_infra.cli.prices_view import show_unpriced
    from taximeter_infra.cli.report_view import print_json

    with closing(_connect()) as clickhouse:
        found = unpriced(clickhouse, account)
    if as_json:
        print_json({"unmatched": [{**asdict(one), "mend": one.mend} for one in found]})
    else:
        show_unpriced(found)


@prices.command()
@told_plainly
def check(
    stale_days: Annotated[int, typer.Option(min=1, help="The newest list price may be this many days old")] = 60,
    as_json: AsJson = False,
) -> None:
    """Look for what is odd in the book; exit code 3 where anything is.

    Gaps, prices below zero or of zero, windows that overlap, units that no
    call counts, accounts' prices for unknown models, models that their
    provider gives up, a book that is old or behind the installed package.

    \b
    Examples:
      taximeter prices check
      taximeter prices check --stale-days 30 --json
    """
    from taximeter_infra.cli.prices_view import show_findings
    from taximeter_infra.cli.report_view import print_json

    with closing(_connect()) as clickhouse:
        findings = _findings(clickhouse, stale_days)
    if as_json:
        print_json({"findings": [asdict(one) for one in findings]})
    else:
        show_findings(findings)
    if findings:
        raise typer.Exit(ExitCode.CHECK_FAILED)


def register(app: typer.Typer) -> None:
    """Put these commands on the app, under `prices`."""
    prices_set.register(prices)
    app.add_typer(prices, name="prices", rich_help_panel=Panel.MONEY)


def _findings(clickhouse: ClickHouse, stale_days: int) -> list[Any]:
    from taximeter_consumers.pricing.aliases import aliases
    from taximeter_consumers.pricing.book import read_rates, server_time
    from taximeter_consumers.pricing.check import check_book, check_difference
    from taximeter_consumers.pricing.packaged import packaged_rates, providers
    from taximeter_consumers.pricing.sync import plan_sync

    rates = read_rates(clickhouse)
    given_up = {(one.id, model.id) for one in providers().values() for model in one.models if model.deprecated}
    findings = check_book(rates, aliases(clickhouse), given_up, server_time(clickhouse), stale_days)
    return [*findings, *check_difference(plan_sync(rates, packaged_rates()))]


def _moment(text: str | None) -> datetime | None:
    from taximeter_infra.cli.moments import parse_moment

    return None if text is None else parse_moment(text, datetime.now(UTC), "--at")


def _connect() -> ClickHouse:
    from taximeter_infra.cli.context import clickhouse_settings

    return open_clickhouse(clickhouse_settings())
