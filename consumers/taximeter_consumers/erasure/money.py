"""That an erasure changes no sum: every total before and after, and a proof from the events where work went on
meanwhile.

Totals are read as text, to the last digit. They may differ where a tick has rolled up new events in between; then the
audit of the money says whether every sum of these accounts still follows from its events.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from taximeter_consumers.conservation import MoneyAudit, MoneyScope

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

Total = tuple[str, str, str, str]
"""(which sums, account, provider, model)."""

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
_LAST_TICK: Final = "SELECT max(tick) FROM stored_rolled_up_batches"


@dataclass(frozen=True)
class Totals:
    """The sums of some accounts, and the last tick that they have."""

    tick: int
    sums: dict[Total, tuple[str, str, str]]


def totals(clickhouse: ClickHouse, accounts: list[str]) -> Totals:
    """As they are now. Of events, of tokens (of charges: units) and in dollars; of invoices what is due."""
    tick = int(clickhouse.scalar(_LAST_TICK))
    rows = clickhouse.rows(_SUMS, {"accounts": accounts}) if accounts else []
    sums = {
        (name, account, provider, model): (events, tokens, cost)
        for name, account, provider, model, events, tokens, cost in rows
    }
    return Totals(tick, sums)


@dataclass(frozen=True)
class Changed:
    """Sums that are not what they were, a line for each. `wrong`: they do not follow from their events now. `mended`:
    they do now, and did not before."""

    wrong: tuple[str, ...] = ()
    mended: tuple[str, ...] = ()


def changed(clickhouse: ClickHouse, before: Totals, after: Totals, accounts: list[str]) -> Changed:
    """What has changed. Nothing where every sum is what it was, or where ticks went on and all is proved."""
    lines = [
        f"{' '.join(filter(None, of))}: {_told(before.sums.get(of))} before, {_told(after.sums.get(of))} after"
        for of in sorted({*before.sums, *after.sums})
        if before.sums.get(of) != after.sums.get(of)
    ]
    if not lines:
        return Changed()
    if not all(MoneyAudit(clickhouse, MoneyScope(account=account)).run().holds for account in accounts):
        return Changed(wrong=tuple(lines))
    return Changed() if before.tick != after.tick else Changed(mended=tuple(lines))


def _told(sums: tuple[str, str, str] | None) -> str:
    events, tokens, cost = sums or ("0", "0", "0")
    return f"{events} events, {tokens} units, ${cost}"
