"""`taximeter quota assign|add-on|organisation`: who has which plan, what was bought beside it, who belongs together."""

from __future__ import annotations

import secrets
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from taximeter_infra.cli.failures import told_plainly
from taximeter_infra.cli.quota_amounts import amounts_of
from taximeter_infra.cli.quota_plans import SOON, AsJson, At, from_then, moment_of, settings
from taximeter_infra.cli.quota_plans_view import described
from taximeter_infra.cli.who import who
from taximeter_schemas.quota.wording import amount_of

if TYPE_CHECKING:
    from taximeter_consumers.quota.plans.assignments import AddOn
    from taximeter_consumers.quota.plans.directory import Directory
    from taximeter_consumers.quota.plans.named_level import Level

Account = Annotated[
    str, typer.Option("--account", metavar="ID", help="The account, or whose project, user or key it is")
]
Organisation = Annotated[str, typer.Option(metavar="ID", help="An organisation as a whole, instead of an account")]
Project = Annotated[str, typer.Option(metavar="ID", help="A project of the account")]
User = Annotated[str, typer.Option(metavar="ID", help="A user of the account")]
Key = Annotated[str, typer.Option(metavar="ID", help="The name of an API key of the account, never the key")]


@told_plainly
def assign(
    plan_id: Annotated[str, typer.Argument(metavar="PLAN", help="Its name; none: from then on no plan")],
    account: Account = "", organisation: Organisation = "", project: Project = "", user: User = "", key: Key = "",
    at: At = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Give an account, or a project, user or key of it, or an organisation, a plan from a time on.

    An account that was never given one has the plan of its billing terms
    (`taximeter billing account ACCOUNT --plan PLAN`), if a quota plan has that name.

    \b
    Examples:
      taximeter quota assign starter --account acme
      taximeter quota assign business --account acme --at 2026-12-01
      taximeter quota assign hobby --account acme --user ada
      taximeter quota assign enterprise --organisation globex
      taximeter quota assign none --account acme
    """
    from taximeter_consumers.quota.plans.assignments import Assignment
    from taximeter_consumers.quota.plans.settings_change import assign as append
    from taximeter_infra.cli.invoice_view import print_object

    level, moment = _level(account, organisation, project, user, key), moment_of(at)
    row = Assignment(level, moment, "" if plan_id == "none" else plan_id, _me())
    with settings() as (clickhouse, directory):
        idle = append(clickhouse, directory, row)
    if as_json:
        unused = [limit.limit_id for limit in idle]
        print_object({"level": level.key, "plan_id": row.plan_id, "valid_from": moment, "limits_without_use": unused})
        return
    typer.echo(f"{level.key} has {row.plan_id or 'no plan'} {from_then(moment)}")
    for limit in idle:
        typer.echo(f"its limit {limit.limit_id} counts nothing there: {described(limit, Decimal(1))}")
    if row.plan_id:
        typer.echo("what was used in windows that have begun counts")


@told_plainly
def add_on(
    amount: Annotated[
        str | None, typer.Argument(metavar="[METER=AMOUNT]", help="total_tokens=100000", show_default="list them")
    ] = None,
    account: Account = "", organisation: Organisation = "", project: Project = "", user: User = "", key: Key = "",
    since: Annotated[str | None, typer.Option("--from", metavar="TIME", show_default="now")] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="TIME", show_default="the end of this billing month")
    ] = None,
    every_month: Annotated[bool, typer.Option("--every-month", help="Until further notice, every month anew")] = False,
    reason: Annotated[str, typer.Option(help="For people")] = "",
    add_on_id: Annotated[str, typer.Option("--id", help="The same id adds none", show_default="random")] = "",
    end: Annotated[str | None, typer.Option(metavar="ID", help="End this one now, or at --to")] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Raise the month's limits of a meter by what was bought; list or end such add-ons.

    Without METER=AMOUNT it lists them: all, or those of the level that is named.

    \b
    Examples:
      taximeter quota add-on total_tokens=100000 --account acme --reason "Bought on 3 November"
      taximeter quota add-on cost_usd=50 --organisation globex --every-month --id globex-extra
      taximeter quota add-on --end globex-extra
      taximeter quota add-on --account acme
    """
    from taximeter_consumers.quota.plans.assignments import AddOn
    from taximeter_consumers.quota.plans.settings_change import add_on as append

    if (amount is None) == (end is None) and amount is not None:
        raise typer.BadParameter("either METER=AMOUNT adds one, or --end ID ends one", param_hint="--end")
    if end is not None:
        _end(end, until, as_json=as_json)
    elif amount is None:
        whose = any((account, organisation, project, user, key))
        _list(_level(account, organisation, project, user, key) if whose else None, as_json=as_json)
    else:
        level = _level(account, organisation, project, user, key)
        ((meter, more),) = amounts_of([amount]).items()
        with settings() as (clickhouse, directory):
            ends_at = None if every_month else _ends_at(directory, level, since, until)
            named = add_on_id or f"add-on-{secrets.token_hex(6)}"
            row = AddOn(named, level, meter, more, moment_of(since, "--from"), ends_at, reason, _me())
            append(clickhouse, row)
        _tell(row, as_json=as_json)


@told_plainly
def organisation(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT")],
    organisation_id: Annotated[str, typer.Argument(metavar="ORGANISATION", help="none: to none from then on")],
    at: At = None,
    as_json: AsJson = False,
) -> None:
    """Say to which organisation an account belongs from a time on.

    What the account uses from then on counts for the organisation as well.
    Limits of both hold, and both are decided together.

    \b
    Examples:
      taximeter quota organisation acme globex
      taximeter quota organisation acme none --at 2027-01-01
    """
    from taximeter_consumers.quota.plans.assignments import Membership
    from taximeter_consumers.quota.plans.settings_change import join
    from taximeter_infra.cli.invoice_view import print_object

    moment = moment_of(at).replace(second=0, microsecond=0)
    name = "" if organisation_id == "none" else organisation_id
    with settings() as (clickhouse, _):
        join(clickhouse, Membership(account, moment, name, _me()))
    if as_json:
        print_object({"account_id": account, "organisation_id": name, "valid_from": moment})
        return
    typer.echo(f"{account} belongs to {name or 'no organisation'} {from_then(moment)}")
    typer.echo("what is held until then is settled where it was reserved")


def register(quota: typer.Typer) -> None:
    """Put these commands under `quota`."""
    quota.command("assign")(assign)
    quota.command("add-on")(add_on)
    quota.command("organisation")(organisation)


def _end(add_on_id: str, until: str | None, *, as_json: bool) -> None:
    from taximeter_consumers.quota.plans.settings_change import end_add_on

    with settings() as (clickhouse, directory):
        row = end_add_on(clickhouse, directory, add_on_id, moment_of(until, "--to"))
    _tell(row, as_json=as_json)


def _list(level: Level | None, *, as_json: bool) -> None:
    from taximeter_infra.cli.invoice_view import print_object

    with settings() as (_, directory):
        held = [row for row in directory.add_ons().values() if level is None or row.level == level]
    rows = sorted(held, key=lambda row: (row.level.key, row.starts_at))
    if as_json:
        print_object({"add_ons": [_object(row) for row in rows]})
        return
    for row in rows:
        typer.echo(_described(row))
    if not rows:
        typer.echo("no add-ons" if level is None else f"no add-ons of {level.key}")


def _tell(row: AddOn, *, as_json: bool) -> None:
    from taximeter_infra.cli.invoice_view import print_object

    if as_json:
        print_object(_object(row))
        return
    typer.echo(_described(row))
    typer.echo(f"it raises limits by month alone; {SOON}")


def _object(row: AddOn) -> dict[str, object]:
    return {**vars(row), "level": row.level.key}


def _described(row: AddOn) -> str:
    until = "until further notice" if row.ends_at is None else f"until {row.ends_at:%Y-%m-%d %H:%M} UTC"
    why = f" ({row.reason})" if row.reason else ""
    more = f"{amount_of(row.amount)} {row.meter} more a month"
    return f"{row.add_on_id}: {row.level.key} has {more} from {row.starts_at:%Y-%m-%d %H:%M} UTC {until}{why}"


def _ends_at(directory: Directory, level: Level, since: str | None, until: str | None) -> datetime:
    """What was given, or the end of the billing month in which the add-on begins."""
    from taximeter_consumers.quota.plans.windows import micros_of
    from taximeter_consumers.quota.plans.windows import moment_of as instant

    if until is not None:
        return moment_of(until, "--to")
    begins = micros_of(moment_of(since, "--from"))
    months = directory.calendar(level).months(begins)
    return instant(next(span.ends_at for span in months if span.starts_at <= begins < span.ends_at))


def _level(account_id: str, organisation_id: str, project: str, user: str, key: str) -> Level:
    """The one level that the options name."""
    from taximeter_consumers.quota.plans import named_level
    from taximeter_schemas.quota.subject import LevelKind

    if bool(account_id) == bool(organisation_id):
        raise typer.BadParameter("say whose it is: either --account ID or --organisation ID")
    narrower = {LevelKind.PROJECT: project, LevelKind.USER: user, LevelKind.KEY: key}
    given = [named_level.Level(kind, account_id, name) for kind, name in narrower.items() if name]
    if len(given) > 1 or (given and organisation_id):
        raise typer.BadParameter("name one of --project, --user and --key, and the --account that it is of")
    if given:
        return given[0]
    return named_level.organisation(organisation_id) if organisation_id else named_level.account(account_id)


def _me() -> str:
    return who()
