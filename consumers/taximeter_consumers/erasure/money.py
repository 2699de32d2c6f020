"""That an erasure changes no sum: every total before and after, and a proof from the events where work went on
meanwhile.

Totals are read as text, to the last digit. They may differ where a tick has rolled up new events in between; then the
audit of the money says whether every sum of these accounts still follows from its events. What is before the horizon
of a retention has no events and is touched by no tick: it is compared by itself, and must be what it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from taximeter_consumers.conservation import MoneyAudit, MoneyScope
from taximeter_consumers.retention.horizon import kept_from

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

Total = tuple[str, str, str, str]
"""(which sums, account, provider, model)."""

FROZEN: Final = "before the horizon"
"""Stands for the provider in totals of what is frozen."""

_OF_ACCOUNT: Final = """
SELECT '{name}' AS name, account_id, '' AS provider, '' AS model, toString(sum(events)) AS events,
    toString(sum(total_tokens)) AS tokens, toString(sum(cost_usd)) AS cost
FROM {name} WHERE account_id IN {{accounts:Array(String)}} GROUP BY account_id
"""
_OF_MODEL: Final = """
SELECT '{name}' AS name, account_id, provider, model, toString(sum(events)) AS events,
    toString(sum({counted})) AS tokens, toString(sum(cost_usd)) AS cost
FROM {name} WHERE account_id IN {{accounts:Array(String)}} GROUP BY account_id, provider, model
"""
_INVOICES: Final = """
SELECT 'invoices' AS name, account_id, '' AS provider, '' AS model, toString(count()) AS events, '' AS tokens,
    toString(sum(due_usd)) AS cost
FROM invoices WHERE account_id IN {accounts:Array(String)} GROUP BY account_id
"""
_SUMS: Final = " UNION ALL ".join(
    (
        *(_OF_ACCOUNT.format(name=name) for name in ("run_costs", "node_costs", "usage_by_subject", "quota_usage")),
        *(
            _OF_MODEL.format(name=name, counted=one)
            for name, one in (("model_costs", "total_tokens"), ("charges", "quantity"))
        ),
        _INVOICES,
    )
)
_BEFORE: Final = "fromUnixTimestamp64Micro({kept_from:Int64}, 'UTC')"
_FROZEN: Final = " UNION ALL ".join(
    f"""
SELECT '{name}' AS name, account_id, '{FROZEN}' AS provider, '' AS model, toString(sum(events)) AS events,
    toString(sum(total_tokens)) AS tokens, toString(sum(cost_usd)) AS cost
FROM {name} WHERE account_id IN {{accounts:Array(String)}} AND {when} < {_BEFORE} GROUP BY account_id
"""  # noqa: S608 - our own names
    # A run that is new may have ended before: a tick counts it.
    for name, when in (
        ("usage_by_subject", "minute"),
        ("quota_usage", "minute"),
        ("model_costs", "hour"),
    )
)
_LAST_TICK: Final = "SELECT max(tick) FROM stored_rolled_up_batches"


@dataclass(frozen=True)
class Totals:
    """The sums of some accounts, the last tick that they have, and the horizon (Unix microseconds) of those frozen."""

    tick: int
    sums: dict[Total, tuple[str, str, str]]
    kept_from: int = 0


def totals(clickhouse: ClickHouse, accounts: list[str]) -> Totals:
    """As they are now. Of events, of tokens (of charges: units) and in dollars; of invoices what is due."""
    tick = int(clickhouse.scalar(_LAST_TICK))
    rows = clickhouse.rows(_SUMS, {"accounts": accounts}) if accounts else []
    horizon = kept_from(clickhouse)
    if accounts and horizon:
        rows += clickhouse.rows(_FROZEN, {"accounts": accounts, "kept_from": horizon})
    sums = {
        (name, account, provider, model): (events, tokens, cost)
        for name, account, provider, model, events, tokens, cost in rows
    }
    return Totals(tick, sums, horizon)


@dataclass(frozen=True)
class Changed:
    """Sums that are not what they were, a line for each. `wrong`: they do not follow from their events now. `mended`:
    they do now, and did not before."""

    wrong: tuple[str, ...] = ()
    mended: tuple[str, ...] = ()


def changed(clickhouse: ClickHouse, before: Totals, after: Totals, accounts: list[str]) -> Changed:
    """What has changed. Nothing where every sum is what it was, or where ticks went on and all is proved."""
    frozen, lines = differences(before, after)
    if not lines:
        return Changed(wrong=frozen)
    if not all(MoneyAudit(clickhouse, MoneyScope(account=account)).run().holds for account in accounts):
        return Changed(wrong=frozen + lines)
    return Changed(wrong=frozen) if before.tick != after.tick else Changed(wrong=frozen, mended=lines)


def differences(before: Totals, after: Totals) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A line for each sum that is another one: of what is frozen, which nothing may change; of the rest."""
    frozen: list[str] = []
    rest: list[str] = []
    for of in sorted({*before.sums, *after.sums}):
        had, has = before.sums.get(of), after.sums.get(of)
        if of[2] == FROZEN and before.kept_from != after.kept_from:
            # Another deletion in between: two different days.
            continue
        if had != has:
            line = f"{' '.join(filter(None, of))}: {_told(had)} before, {_told(has)} after"
            (frozen if of[2] == FROZEN else rest).append(line)
    return tuple(frozen), tuple(rest)


def _told(sums: tuple[str, str, str] | None) -> str:
    events, tokens, cost = sums or ("0", "0", "0")
    return f"{events} events, {tokens} units, ${cost}"
