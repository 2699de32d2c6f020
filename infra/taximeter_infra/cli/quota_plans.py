"""`taximeter quota plans`: plans and their limits. Rows are dated and only appended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taximeter_infra.cli.failures import told_plainly
from taximeter_infra.cli.quota_amounts import meter_and_amount, number
from taximeter_infra.cli.quota_plans_view import described, show_table
from taximeter_infra.cli.reach import open_clickhouse
from taximeter_infra.cli.who import who
from taximeter_schemas.quota.wording import amount_of

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.quota.plans.directory import Directory
    from taximeter_consumers.quota.plans.plans import QuotaPlan

PlanId = Annotated[str, typer.Argument(metavar="PLAN")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON with exact amounts instead of text")]
At = Annotated[
    str | None, typer.Option("--at", metavar="TIME", help="From then on: ISO 8601 (UTC)", show_default="now")
]
SOON = "the quota service takes it up within seconds"

plans = typer.Typer(invoke_without_command=True)


@plans.callback()
def overview(context: typer.Context, as_json: AsJson = False) -> None:
    """Named sets of limits. Without a command: list them.

    \b
    Examples:
      taximeter quota plans
      taximeter quota plans add pro --name Professional
      taximeter quota plans limit pro total_tokens=5000000
    """
    if context.invoked_subcommand is None:
        show_plans(as_json=as_json)


@plans.command("list")
@told_plainly
def show_plans(at: At = None, as_json: AsJson = False) -> None:
    """List plans with their limits, as they are or will be.

    \b
    Examples:
      taximeter quota plans list
      taximeter quota plans list --at 2027-01-01 --json
    """
    from taximeter_consumers.quota.plans.windows import micros_of
    from taximeter_infra.cli.invoice_view import print_object

    moment = moment_of(at)
    with settings() as (_, directory):
        found = [directory.plan_at(name, micros_of(moment)) for name in directory.plan_ids()]
    held = [one for one in found if one is not None]
    if as_json:
        print_object({"plans": [{**vars(plan), "limits": [vars(limit) for limit in limits]} for plan, limits in held]})
        return
    if held:
        show_table(held)
    else:
        typer.echo("no plans; add one by `taximeter quota plans add NAME`")


@plans.command("add")
@told_plainly
def add_plan(
    plan_id: PlanId,
    name: Annotated[str | None, typer.Option(help="For people")] = None,
    multiplier: Annotated[
        str | None, typer.Option(metavar="N", help="Every limit of the plan is this many times")
    ] = None,
    at: At = None,
    as_json: AsJson = False,
) -> None:
    """Add a plan, or change its name or multiplier from a time on; its limits stay.

    \b
    Examples:
      taximeter quota plans add pro --name Professional
      taximeter quota plans add starter --multiplier 1.5 --at 2026-12-24
    """
    from taximeter_consumers.quota.plans.settings_change import change_plan
    from taximeter_infra.cli.invoice_view import print_object

    given: dict[str, Any] = {
        "name": name,
        "multiplier": None if multiplier is None else number(multiplier, "--multiplier"),
    }
    changes = {key: value for key, value in given.items() if value is not None}
    moment = moment_of(at)
    with settings() as (clickhouse, directory):
        plan = change_plan(clickhouse, directory, plan_id, changes | {"added_by": who()}, moment)
    if as_json:
        print_object(vars(plan))
        return
    times = "" if plan.multiplier == 1 else f" limits times {amount_of(plan.multiplier)},"
    typer.echo(f"{plan.plan_id} ({plan.name}),{times} {from_then(moment)}")
    typer.echo(f"give it limits by `taximeter quota plans limit {plan_id} total_tokens=1000000`")


@plans.command("limit")
@told_plainly
def set_limit(
    plan_id: PlanId,
    amount: Annotated[str, typer.Argument(metavar="METER=AMOUNT", help="total_tokens=5000, cost_usd=0.25, ...=none")],
    window: Annotated[str, typer.Option(help="run, minute, day or month (the billing period)")] = "month",
    each: Annotated[
        str,
        typer.Option(metavar="LEVEL", help="account, project, user, key or run: each by itself", show_default="all"),
    ] = "",
    soft: Annotated[bool, typer.Option("--soft", help="Warn, and stop nothing")] = False,
    degrade_to: Annotated[
        str, typer.Option(metavar="MODE", help="Instead of stopping: the model or mode to take")
    ] = "",
    fail_open: Annotated[
        bool, typer.Option("--fail-open", help="Let work go on while the quota service is away")
    ] = False,
    thresholds: Annotated[str, typer.Option(metavar="PERCENT,...", help="Where alerts are raised")] = "50,75,90,100",
    limit_id: Annotated[
        str, typer.Option("--id", help="Names the limit in its plan", show_default="meter/window")
    ] = "",
    at: At = None,
    as_json: AsJson = False,
) -> None:
    """Set a limit of a plan from a time on. One of the same name is replaced; `none` or 0 ends it.

    \b
    Examples:
      taximeter quota plans limit pro total_tokens=5000000
      taximeter quota plans limit pro cost_usd=20 --window day --each user
      taximeter quota plans limit pro executions=500 --window run
      taximeter quota plans limit pro total_tokens=4000000 --soft --id warning
      taximeter quota plans limit pro total_tokens=100000 --window minute --degrade-to gpt-4o-mini
      taximeter quota plans limit pro total_tokens=none --at 2027-01-01
    """
    from taximeter_consumers.quota.plans.plans import Limit, limit_id_of
    from taximeter_consumers.quota.plans.settings_change import add_limit
    from taximeter_infra.cli.invoice_view import print_object
    from taximeter_schemas.quota.limits import Action, OnOutage, Window

    meter, most = meter_and_amount(amount)
    over = _one_of(Window, window, "--window")
    level = each or ("run" if over is Window.RUN else "")
    moment = moment_of(at)
    limit = Limit(
        plan_id,
        limit_id or limit_id_of(level, meter, over),
        moment,
        meter,
        over,
        most,
        level=level,
        hard=not soft,
        action=Action.DEGRADE if degrade_to else Action.BLOCK,
        degrade_to=degrade_to,
        on_outage=OnOutage.OPEN if fail_open else OnOutage.CLOSED,
        thresholds=tuple(sorted(number(part, "--thresholds") for part in thresholds.split(",") if part.strip())),
        added_by=who(),
    )
    with settings() as (clickhouse, directory):
        add_limit(clickhouse, directory, limit)
        multiplier = _multiplier(directory, plan_id, moment)
    if as_json:
        print_object(vars(limit))
        return
    typer.echo(f"{plan_id}, limit {limit.limit_id}: {described(limit, multiplier)}, {from_then(moment)}")
    typer.echo("what was used in a window that has begun counts; alerts that were raised in it stay raised")


def register(quota: typer.Typer) -> None:
    """Put these commands under `quota plans`."""
    quota.add_typer(plans, name="plans")


@contextmanager
def settings() -> Iterator[tuple[ClickHouse, Directory]]:
    """A connection, and the settings as they are."""
    from taximeter_consumers.quota.plans.setting_rows import read_directory
    from taximeter_infra.cli.context import clickhouse_settings

    with closing(open_clickhouse(clickhouse_settings())) as clickhouse:
        yield clickhouse, read_directory(clickhouse)


def moment_of(text: str | None, option: str = "--at") -> datetime:
    """The time that was given, or now."""
    from taximeter_infra.cli.moments import parse_moment

    now = datetime.now(UTC)
    return now if text is None else parse_moment(text, now, option)


def from_then(moment: datetime) -> str:
    """When a change counts, in words."""
    return f"from {moment:%Y-%m-%d %H:%M} UTC on" if moment > datetime.now(UTC) else f"from now on: {SOON}"


def _multiplier(directory: Directory, plan_id: str, moment: datetime) -> Decimal:
    from taximeter_consumers.quota.plans.settings_change import existing_plan

    plan: QuotaPlan = existing_plan(directory, plan_id, moment)[0]
    return plan.multiplier


def _one_of(kind: Any, text: str, option: str) -> Any:
    try:
        return kind(text)
    except ValueError as error:
        names = ", ".join(one.value for one in kind)
        raise typer.BadParameter(f"{text!r} is none of {names}", param_hint=option) from error
