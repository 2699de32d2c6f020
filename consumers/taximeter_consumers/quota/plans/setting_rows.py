"""Settings of quotas in ClickHouse: dated rows, read whole, only ever appended. An append twice changes nothing.

The shipped plans are put in where no row of their names is yet, so what an operator has changed or ended stays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.billing.settings import read_settings
from taximeter_consumers.billing.terms import EPOCH
from taximeter_consumers.quota.plans.assignments import AddOn, Assignment, Membership
from taximeter_consumers.quota.plans.directory import Directory, Rows
from taximeter_consumers.quota.plans.named_level import Level
from taximeter_consumers.quota.plans.plans import Limit, QuotaPlan, shipped_plans
from taximeter_schemas.money import exact, plain
from taximeter_schemas.quota.limits import Action, OnOutage, Window
from taximeter_schemas.quota.subject import LevelKind

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

Row = QuotaPlan | Limit | Assignment | AddOn | Membership

_PLANS: Final = ("plan_id", "valid_from", "name", "multiplier", "added_by")
_LIMITS: Final = (
    *("plan_id", "limit_id", "valid_from", "meter", "window", "amount", "level"),
    *("hard", "action", "degrade_to", "on_outage", "thresholds", "added_by"),
)
_ASSIGNMENTS: Final = ("level", "account_id", "name", "valid_from", "plan_id", "added_by")
_ADD_ONS: Final = (
    *("add_on_id", "level", "account_id", "name", "meter", "amount"),
    *("starts_at", "ends_at", "reason", "added_by"),
)
_MEMBERSHIPS: Final = ("account_id", "valid_from", "organisation_id", "added_by")
_TABLES: Final = ("quota_plans", "quota_limits", "quota_assignments", "quota_add_ons", "quota_organisations")
_STAMP: Final = " UNION ALL ".join(
    f"SELECT '{table}' AS name, count(), toUnixTimestamp64Micro(max(added_at)) FROM stored_{table}"  # noqa: S608 - our own names
    for table in (*_TABLES, "billing_accounts")
)

Stamp = tuple[tuple[Any, ...], ...]
"""What is another one once any setting has been appended."""


def read_directory(clickhouse: ClickHouse) -> Directory:
    """All settings, as they are now. Raises Retryable or Misconfigured."""
    return Directory(
        Rows(
            plans=[QuotaPlan(*row) for row in _rows(clickhouse, "quota_plans", _PLANS)],
            limits=[_limit(row) for row in _rows(clickhouse, "quota_limits", _LIMITS)],
            assignments=[
                Assignment(_level(*row[:3]), *row[3:]) for row in _rows(clickhouse, "quota_assignments", _ASSIGNMENTS)
            ],
            add_ons=[
                AddOn(row[0], _level(*row[1:4]), row[4], _short(row[5]), *row[6:])
                for row in _rows(clickhouse, "quota_add_ons", _ADD_ONS)
            ],
            memberships=[Membership(*row) for row in _rows(clickhouse, "quota_organisations", _MEMBERSHIPS)],
            terms=read_settings(clickhouse).terms,
        )
    )


def stamp(clickhouse: ClickHouse) -> Stamp:
    """By it a reader knows whether to read the directory again: one small query."""
    return tuple(sorted(clickhouse.rows(_STAMP)))


def append(clickhouse: ClickHouse, rows: Sequence[Row]) -> None:
    """Appends rows; one with the same names and instant is replaced. Rows of one kind go in one insert."""
    by_kind: defaultdict[tuple[str, tuple[str, ...]], list[list[Any]]] = defaultdict(list)
    for row in rows:
        table, columns, values = _stored(row)
        by_kind[table, columns].append(values)
    # Limits before plans: a plan that is there has its limits.
    for (table, columns), values_of in sorted(by_kind.items()):
        clickhouse.insert(f"stored_{table}", columns, values_of)


def load_shipped_plans(clickhouse: ClickHouse) -> int:
    """Puts in the shipped plans whose names nobody has used. Returns how many."""
    known = {name for (name,) in clickhouse.rows("SELECT DISTINCT plan_id FROM stored_quota_plans")}
    plans, limits = shipped_plans(EPOCH)
    new = [plan for plan in plans if plan.plan_id not in known]
    names = {plan.plan_id for plan in new}
    append(clickhouse, [*(limit for limit in limits if limit.plan_id in names), *new])
    return len(new)


def _stored(row: Row) -> tuple[str, tuple[str, ...], list[Any]]:
    if isinstance(row, QuotaPlan):
        return "quota_plans", _PLANS, [row.plan_id, row.valid_from, row.name, exact(row.multiplier, 9), row.added_by]
    if isinstance(row, Membership):
        return "quota_organisations", _MEMBERSHIPS, [getattr(row, name) for name in _MEMBERSHIPS]
    if isinstance(row, Limit):
        values = {name: getattr(row, name) for name in _LIMITS}
        values |= {name: values[name].value for name in ("window", "action", "on_outage")}
        values["amount"] = None if row.amount is None else exact(row.amount, 18)
        values["thresholds"] = list(row.thresholds)
        return "quota_limits", _LIMITS, list(values.values())
    named = {"level": row.level.kind.value, "account_id": row.level.account_id, "name": row.level.name}
    columns = _ASSIGNMENTS if isinstance(row, Assignment) else _ADD_ONS
    values = {name: named[name] if name in named else getattr(row, name) for name in columns}
    if isinstance(row, AddOn):
        values["amount"] = exact(row.amount, 18)
    return ("quota_assignments" if isinstance(row, Assignment) else "quota_add_ons"), columns, list(values.values())


def _limit(row: Sequence[Any]) -> Limit:
    values = dict(zip(_LIMITS, row, strict=True))
    return Limit(
        **{
            **values,
            "window": Window(values["window"]),
            "amount": None if values["amount"] is None else _short(values["amount"]),
            "hard": bool(values["hard"]),
            "action": Action(values["action"]),
            "on_outage": OnOutage(values["on_outage"]),
            "thresholds": tuple(map(_short, values["thresholds"])),
        }
    )


def _level(kind: str, account_id: str, name: str) -> Level:
    return Level(LevelKind(kind), account_id, name)


def _short(number: Decimal) -> Decimal:
    """The same number without the zeros of its column."""
    return Decimal(plain(number))


def _rows(clickhouse: ClickHouse, view: str, columns: Sequence[str]) -> list[list[Any]]:
    sql = f"SELECT {', '.join(columns)} FROM {view} ORDER BY ALL"  # noqa: S608 - names of our own
    return [[_zoned(value) for value in row] for row in clickhouse.rows(sql)]


def _zoned(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value
