"""`taximeter billing`: how accounts are billed: periods, plans, add-ons, credits. Rows are dated and only appended."""

from __future__ import annotations

import secrets
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taximeter_infra.cli.failures import told_plainly
from taximeter_infra.cli.panels import Panel
from taximeter_infra.cli.reach import open_clickhouse

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

AccountId = Annotated[str, typer.Argument(metavar="ACCOUNT")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON with exact amounts instead of text")]
From = Annotated[
    str | None, typer.Option("--from", metavar="TIME", help="Counts for periods that begin at this time or later")
]

billing = typer.Typer(no_args_is_help=True, help="How accounts are billed: periods, plans, add-ons and credits.")


@billing.command()
@told_plainly
def account(
    account_id: AccountId,
    plan_id: Annotated[str | None, typer.Option("--plan", metavar="PLAN", help="Its plan; '' for none")] = None,
    anchor_day: Annotated[int | None, typer.Option(min=1, max=28, help="Day on which a period begins")] = None,
    time_zone: Annotated[str | None, typer.Option(metavar="ZONE", help="IANA name, like Europe/Berlin")] = None,
    grace_hours: Annotated[int | None, typer.Option(min=0, help="From a period's end until it is closed")] = None,
    name: Annotated[str | None, typer.Option(help="As on the invoice")] = None,
    address: Annotated[str | None, typer.Option(help=r"As on the invoice, lines apart by \n")] = None,
    since: From = None,
    as_json: AsJson = False,
) -> None:
    """Show how an account is billed, or change what is named; the rest stays.

    A change counts from the first period that begins afterwards, and never
    moves one that was invoiced. Without --from it holds from now on; an
    account's first one from the start of its current period.

    \b
    Examples:
      taximeter billing account acme
      taximeter billing account acme --plan pro --name "Acme Inc."
      taximeter billing account acme --anchor-day 15 --time-zone Europe/Berlin --from 2026-12-01
    """
    given = {
        "plan_id": plan_id,
        "anchor_day": anchor_day,
        "time_zone": time_zone,
        "grace_hours": grace_hours,
        "name": name,
        "address": None if address is None else address.replace("\\n", "\n"),
    }
    changes = _named(given)
    if since is not None and not changes:
        raise typer.BadParameter("--from goes with a change")
    with closing(_connect()) as clickhouse:
        if changes:
            _change_account(clickhouse, account_id, changes, since, as_json=as_json)
        else:
            _show_account(clickhouse, account_id, as_json=as_json)


@billing.command()
@told_plainly
def plan(
    plan_id: Annotated[str | None, typer.Argument(metavar="[PLAN]", show_default="all")] = None,
    fee: Annotated[str | None, typer.Option(metavar="USD", help="Fee for each billing period")] = None,
    included: Annotated[str | None, typer.Option(metavar="USD", help="Usage that the fee pays for")] = None,
    name: Annotated[str | None, typer.Option(help="As on the invoice")] = None,
    since: From = None,
    as_json: AsJson = False,
) -> None:
    """Show plans, add one, or add a new version of one; what is not named stays.

    \b
    Examples:
      taximeter billing plan
      taximeter billing plan pro --name Professional --fee 99 --included 50
      taximeter billing plan pro --fee 119 --from 2027-01-01
    """
    from taximeter_consumers.billing import read_settings
    from taximeter_consumers.billing.terms_change import change_plan
    from taximeter_infra.cli.invoice_view import print_object

    given = {
        "fee_usd": None if fee is None else _usd(fee, "--fee"),
        "included_usd": None if included is None else _usd(included, "--included"),
        "name": name,
    }
    changes = _named(given)
    if (changes and plan_id is None) or (since is not None and not changes):
        raise typer.BadParameter("name the plan and what is to change")
    with closing(_connect()) as clickhouse:
        if changes and plan_id is not None:
            plans = [change_plan(clickhouse, plan_id, changes, None if since is None else _time(since, "--from"))]
        else:
            plans = [one for one in read_settings(clickhouse).plans if plan_id in (None, one.plan_id)]
    if as_json:
        print_object({"plans": [vars(one) for one in plans]})
        return
    for one in plans:
        fee, included = _show(one.fee_usd), _show(one.included_usd)
        typer.echo(f"{one.plan_id} from {one.valid_from:%Y-%m-%d}: {one.name}, {fee} per period, {included} included")
    if not plans:
        typer.echo("no plans")


@billing.command("add-on")
@told_plainly
def add_on(
    account_id: AccountId,
    name: Annotated[str, typer.Argument(metavar="NAME", help="As on the invoice")],
    fee: Annotated[str | None, typer.Option(metavar="USD", help="Start it: fee for each billing period")] = None,
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="When it starts", show_default="now")
    ] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="End it then; 0s is now")] = None,
) -> None:
    """Start or end what an account pays for beside its plan.

    It is billed for each period that begins while it is on.

    \b
    Examples:
      taximeter billing add-on acme "Priority support" --fee 49 --from 2026-12-01
      taximeter billing add-on acme "Priority support" --end 2027-03-01
    """
    from taximeter_consumers.billing import AddOn, append
    from taximeter_consumers.billing.terms_change import end_add_on

    if (fee is None) == (end is None):
        raise typer.BadParameter("say --fee to start it, or --end")
    with closing(_connect()) as clickhouse:
        if end is not None:
            ended = end_add_on(clickhouse, account_id, name, _time(end, "--end"))
            typer.echo(f"{account_id}: no {name} in periods that begin from {ended.ends_at:%Y-%m-%d %H:%M} UTC on")
            return
        begin = datetime.now(UTC) if since is None else _time(since, "--from")
        made = AddOn(account_id, name, begin, _usd(str(fee), "--fee"))
        append(clickhouse, made)
    typer.echo(
        f"{account_id}: {name} at {_show(made.fee_usd)} in periods that begin from {begin:%Y-%m-%d %H:%M} UTC on"
    )


@billing.command()
@told_plainly
def credit(
    account_id: AccountId,
    amount: Annotated[
        str | None, typer.Argument(metavar="[USD]", help="Grant so much", show_default="show them")
    ] = None,
    reason: Annotated[str, typer.Option(help="As on the invoice")] = "",
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Counts for periods that end later", show_default="now")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="TIME", help="Not for periods that begin then or later", show_default="never")
    ] = None,
    credit_id: Annotated[
        str | None, typer.Option("--id", help="Granting the same id again grants nothing", show_default="random")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Grant an account a credit, or show what is left of those that it has.

    A credit lowers what is due until it is used up; those that expire first
    are used first.

    \b
    Examples:
      taximeter billing credit acme
      taximeter billing credit acme 25 --reason "Welcome" --expires 2027-01-01
      taximeter billing credit acme 12.50 --reason "Outage of 3 November" --id outage-2026-11-03
    """
    from taximeter_consumers.billing import Credit, append
    from taximeter_consumers.billing.account_view import account_object
    from taximeter_infra.cli.invoice_view import print_object

    now = datetime.now(UTC)
    granted = None if amount is None else _usd(amount, "USD")
    with closing(_connect()) as clickhouse:
        if granted is not None:
            begin = now if since is None else _time(since, "--from")
            end = None if expires is None else _time(expires, "--expires")
            made = credit_id or f"credit-{secrets.token_hex(6)}"
            append(clickhouse, Credit(made, account_id, granted, begin, end, reason))
        credits_ = account_object(clickhouse, account_id, now)["credits"]
    if as_json:
        print_object({"credits": credits_})
    else:
        _show_credits(credits_)


def register(app: typer.Typer) -> None:
    """Put these commands on the app, under `billing`."""
    app.add_typer(billing, name="billing", rich_help_panel=Panel.MONEY)


def _change_account(
    clickhouse: ClickHouse, account_id: str, changes: dict[str, Any], since: str | None, *, as_json: bool
) -> None:
    from taximeter_consumers.billing.terms_change import change_terms
    from taximeter_infra.cli.invoice_view import print_object

    begin = None if since is None else _time(since, "--from")
    terms, period = change_terms(clickhouse, account_id, changes, begin, datetime.now(UTC))
    if as_json:
        print_object({"terms": vars(terms), "first_period": vars(period)})
    else:
        span = _span(period.starts_at, period.ends_at)
        typer.echo(f"{account_id} is billed so from the period {period.label} on ({span} UTC)")


def _show_account(clickhouse: ClickHouse, account_id: str, *, as_json: bool) -> None:
    from taximeter_consumers.billing.account_view import account_object
    from taximeter_infra.cli.invoice_view import print_object

    found = account_object(clickhouse, account_id, datetime.now(UTC))
    if as_json:
        print_object(found)
        return
    period, terms = found["period"], found["terms"]
    typer.echo(f"{account_id}: period {period['label']}, {_span(period['starts_at'], period['ends_at'])} UTC")
    typer.echo(f"begins on day {terms['anchor_day']} in {terms['time_zone']}, grace {terms['grace_hours']} h")
    typer.echo(f"plan: {found['plan']['name'] if found['plan'] else 'none'}")
    for one in found["add_ons"]:
        typer.echo(f"add-on: {one['name']}, {_show(one['fee_usd'])} per period")
    _show_credits(found["credits"])


def _show_credits(found: list[dict[str, Any]]) -> None:
    for one in found:
        until = f", until {one['expires_at']:%Y-%m-%d}" if one["expires_at"] else ""
        typer.echo(f"credit {one['credit_id']}: {_show(one['left_usd'])} left of {_show(one['amount_usd'])}{until}")


def _connect() -> ClickHouse:
    from taximeter_infra.cli.context import clickhouse_settings

    return open_clickhouse(clickhouse_settings())


def _named(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _usd(text: str, option: str) -> Decimal:
    """An amount of dollars, exact to 18 decimal places and not negative."""
    from taximeter_schemas.money import COST_SCALE, exact

    try:
        amount = exact(Decimal(text.strip().removeprefix("$").replace(",", "")), COST_SCALE)
    except (InvalidOperation, ValueError) as error:
        raise typer.BadParameter(f"{text!r} is no amount of dollars, like 12.50", param_hint=option) from error
    if amount < 0:
        raise typer.BadParameter(f"{text!r} is negative", param_hint=option)
    return amount


def _time(text: str, option: str) -> datetime:
    from taximeter_infra.cli.moments import parse_moment

    return parse_moment(text, datetime.now(UTC), option)


def _span(begin: datetime, end: datetime) -> str:
    return f"{begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"


def _show(amount: Decimal) -> str:
    from taximeter_schemas.money import plain

    return f"${plain(amount)}"
