"""Changes of plans, limits and assignments: checked against what there is, then appended. A crash leaves all or nothing
of a change; the same one again changes nothing.
"""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from taximeter_consumers.quota.plans.assignments import AddOn, Assignment, Membership
from taximeter_consumers.quota.plans.named_level import Level
from taximeter_consumers.quota.plans.plans import Limit, QuotaPlan
from taximeter_consumers.quota.plans.setting_rows import append
from taximeter_consumers.quota.plans.windows import micros_of
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.quota.subject import LevelKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.quota.plans.directory import Directory


def change_plan(
    clickhouse: ClickHouse, directory: Directory, plan_id: str, changes: Mapping[str, Any], at: datetime
) -> QuotaPlan:
    """Appends a plan, or a version of one with some `changes` (`name`, `multiplier`, `added_by`) from `at` on."""
    held = directory.plan_at(plan_id, micros_of(at))
    plan = QuotaPlan(plan_id, at, plan_id) if held is None else held[0]
    changed = replace(plan, valid_from=at, **changes)
    append(clickhouse, [changed])
    return changed


def add_limit(clickhouse: ClickHouse, directory: Directory, limit: Limit) -> None:
    """Appends a limit of a plan that exists by then."""
    existing_plan(directory, limit.plan_id, limit.valid_from)
    append(clickhouse, [limit])


def assign(clickhouse: ClickHouse, directory: Directory, assignment: Assignment) -> tuple[Limit, ...]:
    """Appends an assignment; returns those limits of its plan that count nothing there."""
    limits: Sequence[Limit] = ()
    if assignment.plan_id:
        _, limits = existing_plan(directory, assignment.plan_id, assignment.valid_from)
    append(clickhouse, [assignment])
    return tuple(limit for limit in limits if not _counts(limit, assignment.level))


def add_on(clickhouse: ClickHouse, row: AddOn) -> None:
    """Appends an add-on. Raises Misconfigured where it ends before it begins, or adds nothing."""
    if not row.amount:
        raise Misconfigured(
            f"the add-on {row.add_on_id} would add nothing", mend="give an amount above 0, or end one by its id"
        )
    if row.ends_at is not None and row.ends_at <= row.starts_at:
        raise Misconfigured(f"the add-on {row.add_on_id} would end before it begins", mend="give a later --to")
    append(clickhouse, [row])


def end_add_on(clickhouse: ClickHouse, directory: Directory, add_on_id: str, at: datetime) -> AddOn:
    """Lets an add-on end. Raises Misconfigured with the ids that there are."""
    known = directory.add_ons()
    if add_on_id not in known:
        raise Misconfigured(
            f"there is no add-on {add_on_id!r}", mend=_choose(add_on_id, sorted(known), "there is none")
        )
    ended = replace(known[add_on_id], ends_at=max(at, known[add_on_id].starts_at))
    append(clickhouse, [ended])
    return ended


def join(clickhouse: ClickHouse, membership: Membership) -> None:
    """Appends to which organisation an account belongs. Raises Misconfigured where no account is named."""
    if not membership.account_id:
        raise Misconfigured("no account is named", mend="name the account that belongs to the organisation")
    append(clickhouse, [membership])


def existing_plan(directory: Directory, plan_id: str, at: datetime) -> tuple[QuotaPlan, tuple[Limit, ...]]:
    """The plan and its limits at `at`. Raises Misconfigured with the names that there are, the closest one first."""
    found = directory.plan_at(plan_id, micros_of(at))
    if found is None:
        mend = _choose(plan_id, directory.plan_ids(), "add it by `taximeter quota plans add`")
        raise Misconfigured(f"there is no quota plan {plan_id!r} on {at:%Y-%m-%d %H:%M} UTC", mend=mend)
    return found


def _counts(limit: Limit, level: Level) -> bool:
    """Whether a limit of a plan counts anything where the plan is assigned to `level`: limits of each level inside it
    do where that is an account or an organisation, and none limits each account of an account."""
    inside = {
        LevelKind.ORGANISATION: set(LevelKind) - {LevelKind.ORGANISATION},
        LevelKind.ACCOUNT: set(LevelKind) - {LevelKind.ORGANISATION, LevelKind.ACCOUNT},
    }
    return not limit.level or LevelKind(limit.level) in inside.get(level.kind, set())


def _choose(wanted: str, names: Sequence[str], otherwise: str) -> str:
    close = get_close_matches(wanted, names, 1)
    listed = f"there are {', '.join(names)}" if names else otherwise
    return f"did you mean {close[0]}? {listed}" if close else listed
