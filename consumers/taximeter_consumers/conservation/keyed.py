"""The comparisons that are finer than an hour: by run, node, minute, transaction. The engine compares; only gaps come
back.

Both sides are added up in one pass, each in columns of its own, so the answer is one row however many runs there are.
Groups that do not fit into memory spill to the engine's disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from taximeter_consumers.conservation.hours import SETTINGS
from taximeter_consumers.conservation.measures import COST, COUNTERS, MEASURES, Gap, Place, Values, compare, whole
from taximeter_consumers.conservation.scope import ACCOUNTS, MoneyScope
from taximeter_consumers.pricing.charged import charged_events

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.pricing.cards import Book

# So many gaps of a comparison are named for each lot of accounts; that there are more is told.
NAMED: Final = 1_000

_OF_EVENTS: Final = {
    "events": "1",
    **{name: name for name in COUNTERS[1:]},
    COST: "cost",
    "unpriced_calls": "model_source = 'unpriced'",
    "unmeasured_calls": "model_source = 'unmeasured'",
}
_OF_ROLLUPS: Final = {name: name for name in MEASURES}


@dataclass(frozen=True)
class Keyed:
    """One comparison: two sources, grouped by `key` and `node` beside the account; `kind` says what a key is."""

    left: str
    right: str
    kind: str
    key: str
    left_source: str
    right_source: str
    left_columns: dict[str, str]
    where: str
    node: str = "''"

    @property
    def name(self) -> str:
        """As gaps are headed."""
        return f"{self.left} = {self.right}"


@dataclass(frozen=True)
class Compared:
    """What came of one comparison: how many keys there were, how many have a gap, the first of those, the totals."""

    keys: int
    open: int
    gaps: tuple[Gap, ...]
    left: Values
    right: Values


def comparisons(book: Book, scope: MoneyScope) -> tuple[Keyed, ...]:
    """All of them. With bounded time the runs that lie in it, each as a whole, however far it reaches beyond."""
    runs = f"{ACCOUNTS} AND {_runs(scope)}"
    minutes = f"{ACCOUNTS} AND {scope.times('occurred_at')}"
    priced_runs = f"({charged_events(runs, book)})"
    return (
        Keyed("charged", "node_costs", "node", "run_id", priced_runs, "node_costs", _OF_EVENTS, runs, "node_id"),
        Keyed("node_costs", "run_costs", "run", "run_id", "node_costs", "run_costs", _OF_ROLLUPS, runs),
        Keyed(
            "charged",
            "quota usage",
            "minute",
            "formatDateTime(toStartOfMinute({time}), '%Y-%m-%dT%H:%i:00+00:00', 'UTC')",
            _of_customers(minutes, book),
            "quota_usage",
            _OF_EVENTS,
            f"{ACCOUNTS} AND {scope.times('{time}')}",
        ),
        Keyed(
            "charged",
            "transaction_usage",
            "transaction",
            "transaction_id",
            _of_customers(f"{minutes} AND transaction_id != ''", book),
            "transaction_usage",
            _OF_EVENTS,
            f"{ACCOUNTS} AND {scope.times('{time}')}",
        ),
    )


def compared(clickhouse: ClickHouse, keyed: Keyed, scope: MoneyScope, accounts: Sequence[str]) -> Compared:
    """Runs one comparison over some accounts. Raises Retryable."""
    parameters = {**scope.parameters(accounts), "named": NAMED}
    row = clickhouse.rows(_sql(keyed), parameters)[0]
    keys, open_keys, found = int(row[0]), int(row[1]), row[2]
    totals = [_value(name, text) for name, text in zip((*MEASURES, *MEASURES), row[3:], strict=True)]
    gaps: list[Gap] = []
    for account, key, node, *texts in found:
        values = [_value(name, text) for name, text in zip((*MEASURES, *MEASURES), texts, strict=True)]
        gaps += compare(keyed.name, Place(account, keyed.kind, key, node), *_halves(values), MEASURES)
    return Compared(keys, open_keys, tuple(sorted(gaps, key=lambda gap: gap.place)), *_halves(totals))


def _of_customers(events: str, book: Book) -> str:
    """What limits count of some events: without the platform's own work."""
    return f"(SELECT * FROM ({charged_events(events, book)}) WHERE context != 'system')"  # noqa: S608 - our own text


def _sql(keyed: Keyed) -> str:
    lefts = [f"l_{name}" for name in MEASURES]
    rights = [f"r_{name}" for name in MEASURES]
    left = _side(keyed, keyed.left_source, keyed.left_columns, lefts, rights, "occurred_at")
    right = _side(keyed, keyed.right_source, _OF_ROLLUPS, rights, lefts, "minute")
    differs = " OR ".join(f"{one} != {other}" for one, other in zip(lefts, rights, strict=True))
    named = ", ".join(f"toString({name})" for name in (*lefts, *rights))
    sums = ", ".join(f"sum({name}) AS {name}" for name in (*lefts, *rights))
    return f"""
    SELECT
        count(), countIf(differs),
        arraySlice(groupArrayIf({{named:UInt32}})(tuple(account_id, key, node, {named}), differs), 1, {{named:UInt32}}),
        {", ".join(f"toString(sum({name}))" for name in (*lefts, *rights))}
    FROM
    (
        SELECT *, {differs} AS differs
        FROM
        (
            SELECT account_id, key, node, {sums}
            FROM ({left} UNION ALL {right})
            GROUP BY account_id, key, node
        )
    )
    SETTINGS {SETTINGS}
    """  # noqa: S608 - our own text


def _side(keyed: Keyed, source: str, columns: dict[str, str], own: list[str], others: list[str], time: str) -> str:
    shown = ", ".join(f"{_wide(name, columns[name])} AS {alias}" for name, alias in zip(MEASURES, own, strict=True))
    zeros = ", ".join(f"{_wide(name, '0')} AS {alias}" for name, alias in zip(MEASURES, others, strict=True))
    # The halves of a UNION ALL meet by place, so their columns stand in one order.
    ordered = f"{shown}, {zeros}" if own[0].startswith("l_") else f"{zeros}, {shown}"
    key, where = keyed.key.replace("{time}", time), keyed.where.replace("{time}", time)
    return f"SELECT account_id, {key} AS key, {keyed.node} AS node, {ordered} FROM {source} WHERE {where}"  # noqa: S608 - the same


def _wide(name: str, expression: str) -> str:
    return f"toDecimal256({expression}, 18)" if name == COST else f"toInt256({expression})"


def _halves(values: Sequence[int]) -> tuple[Values, Values]:
    half = len(MEASURES)
    return dict(zip(MEASURES, values[:half], strict=True)), dict(zip(MEASURES, values[half:], strict=True))


def _value(name: str, text: str) -> int:
    return whole(text) if name == COST else int(text)


def _runs(scope: MoneyScope) -> str:
    """The condition that a run has a part in the hours, by its events or by what the rollups say of it."""
    if not scope.has_times:
        return "true"
    reaches = [ACCOUNTS]
    if scope.since is not None:
        reaches.append("ended_at >= toDateTime64({since:Int64}, 0, 'UTC')")
    if scope.until is not None:
        reaches.append("started_at < toDateTime64({until:Int64}, 0, 'UTC')")
    return f"""(account_id, run_id) IN (
        SELECT account_id, run_id FROM stored_events WHERE {ACCOUNTS} AND {scope.times("occurred_at")}
        UNION DISTINCT SELECT account_id, run_id FROM run_costs WHERE {" AND ".join(reaches)}
        UNION DISTINCT SELECT account_id, run_id FROM node_costs WHERE {" AND ".join(reaches)}
    )"""  # noqa: S608 - our own text
