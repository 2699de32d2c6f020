"""The usage bar: what an account has used of the month's tokens, and what it may.

The limit is that of the settings as they are. Use is what the rollups have; where the quota service says more, it knows
of work whose events are not here yet.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING, Final

from taximeter_consumers.api.models.account import AccountUsage
from taximeter_consumers.billing.periods import period_of
from taximeter_consumers.quota.plans.named_level import account
from taximeter_consumers.quota.plans.windows import micros_of, moment_of
from taximeter_consumers.quota.truth.usage import Part, read_usage
from taximeter_schemas.quota.limits import Span, Window

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.quota.plans.directory import Directory
    from taximeter_consumers.quota.plans.named_level import Level
    from taximeter_schemas.quota.answers import Standing
    from taximeter_schemas.quota.limits import Rule

METER: Final = "total_tokens"
_HUNDREDTH: Final = Decimal("0.01")


def account_usage(
    clickhouse: ClickHouse, directory: Directory, account_id: str, now: datetime, standings: Iterable[Standing] = ()
) -> AccountUsage:
    """Of the billing month of `now`; `standings` are those of the quota service, if it has said any."""
    return level_usage(clickhouse, directory, account(account_id), now, standings)


def level_usage(
    clickhouse: ClickHouse, directory: Directory, level: Level, now: datetime, standings: Iterable[Standing] = ()
) -> AccountUsage:
    """The same of an account or of a part of it, such as a user."""
    at = micros_of(now)
    rule = _rule(directory.rules(level, at))
    period = period_of(directory.calendar(level).terms, now)
    span = Span(starts_at=micros_of(period.starts_at), ends_at=micros_of(period.ends_at))
    part = Part(level, span)
    used = read_usage(clickhouse, [part], [METER]).get(part, {}).get(METER, Decimal(0))
    known = (
        one.used
        for one in standings
        if (one.level, one.meter, one.window) == (level.key, METER, Window.MONTH)
        and moment_of(one.starts_at) == period.starts_at
    )
    return bar(period.label, max([used, *known]), rule)


def bar(month: str, used: Decimal, rule: Rule | None) -> AccountUsage:
    """Whole tokens: used ones rounded up, the limit down. A limit that is none, or zero, is null."""
    whole = int(used.to_integral_value(ROUND_CEILING))
    if rule is None or rule.most <= 0:
        plan = rule.plan_id if rule else None
        return AccountUsage(month=month, used=whole, limit=None, remaining=None, percent=0, add_on=0, plan=plan)
    limit = int(rule.most.to_integral_value(ROUND_FLOOR))
    percent = (Decimal(whole) * 100 / limit).quantize(_HUNDREDTH, ROUND_FLOOR) if limit else Decimal(100)
    return AccountUsage(
        month=month,
        used=whole,
        limit=limit,
        remaining=max(0, limit - whole),
        percent=float(percent),
        add_on=int(rule.added.to_integral_value(ROUND_FLOOR)),
        plan=rule.plan_id or None,
    )


def _rule(rules: Iterable[Rule]) -> Rule | None:
    """The month's limit of tokens; of several the hard one, then the least."""
    found = [rule for rule in rules if (rule.meter, rule.window) == (METER, Window.MONTH)]
    return min(found, key=lambda rule: (not rule.hard, rule.most), default=None)
