"""Changes of how an account is billed: checked against what was invoiced, then appended.

A crash between the row and the written-out periods is mended by the next invoice run.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from taximeter_consumers.billing.amounts import ZERO
from taximeter_consumers.billing.draft import check_periods
from taximeter_consumers.billing.held_periods import hold_periods, own_periods
from taximeter_consumers.billing.periods import Period, period_of
from taximeter_consumers.billing.settings import append, read_settings
from taximeter_consumers.billing.stored import invoices_of
from taximeter_consumers.billing.terms import EPOCH, AddOn, BillingSettings, Plan, Terms, in_force
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from taximeter_consumers.clickhouse import ClickHouse


def change_terms(
    clickhouse: ClickHouse, account_id: str, changes: Mapping[str, Any], valid_from: datetime | None, now: datetime
) -> tuple[Terms, Period]:
    """Appends terms: those in force with some `changes`. Returns them and the first period that they count for.

    Without `valid_from` they hold from `now`; an account's first terms from the start of its current period. Raises
    Misconfigured where they would move a period that was invoiced, or name a plan that does not exist.
    """
    known = read_settings(clickhouse).of(account_id)
    begin = valid_from or (now if known.terms else period_of((), now).starts_at)
    terms = replace(known.terms_at(begin), account_id=account_id, valid_from=begin, **changes)
    history = [*(old for old in known.terms if old.valid_from != begin), terms]
    own_periods(history, now)
    check_periods(history, invoices_of(clickhouse, account_id))
    replace(known, terms=history).plan_at(begin)
    append(clickhouse, terms)
    hold_periods(clickhouse, {account_id: history}, now)
    return terms, first_period(history, begin)


def change_plan(clickhouse: ClickHouse, plan_id: str, changes: Mapping[str, Any], valid_from: datetime | None) -> Plan:
    """Appends a version of a plan: the one in force with some `changes`. A plan's first version holds from ever."""
    versions = [plan for plan in read_settings(clickhouse).plans if plan.plan_id == plan_id]
    begin = valid_from or EPOCH
    if versions and valid_from is None:
        raise Misconfigured(
            f"the plan {plan_id} exists; invoices of the past were made by it",
            mend="say from when on it is another: --from",
        )
    old = in_force(versions, begin)
    if old is None and "fee_usd" not in changes:
        raise Misconfigured(f"the new plan {plan_id} has no fee", mend="add --fee, 0 for none")
    base = {"name": plan_id, "included_usd": ZERO} if old is None else {}
    plan = Plan(plan_id, begin, **{**base, **changes}) if old is None else replace(old, valid_from=begin, **changes)
    append(clickhouse, plan)
    return plan


def end_add_on(clickhouse: ClickHouse, account_id: str, name: str, ends_at: datetime) -> AddOn:
    """Lets an add-on end. Raises Misconfigured where the account has none of this name that is still on."""
    held = [add_on for add_on in _settings(clickhouse, account_id).add_ons if add_on.name == name]
    running = [add_on for add_on in held if add_on.ends_at is None or add_on.ends_at > ends_at]
    if not running:
        raise Misconfigured(
            f"account {account_id} has no add-on {name!r} to end",
            mend=f"look at `taximeter billing account {account_id}`",
        )
    ended = replace(max(running, key=lambda add_on: add_on.starts_at), ends_at=ends_at)
    append(clickhouse, ended)
    return ended


def first_period(history: list[Terms], moment: datetime) -> Period:
    """The first period that begins at `moment` or later."""
    period = period_of(history, moment)
    return period if period.starts_at == moment else period_of(history, period.ends_at)


def _settings(clickhouse: ClickHouse, account_id: str) -> BillingSettings:
    return read_settings(clickhouse).of(account_id)
