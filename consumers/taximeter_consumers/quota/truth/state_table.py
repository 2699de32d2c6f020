"""`quota_state` in ClickHouse: how each limit of each level stands, for analysts.

What is written again, or late by a service that lost its partition, changes nothing: of two rows of a window the one of
the later `as_of` counts. `percent` is made by the view, and is `Standing.percent`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.quota.plans.named_level import level_of
from taximeter_consumers.quota.plans.windows import moment_of
from taximeter_schemas.money import COST_SCALE

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_schemas.quota.answers import Standing

_COLUMNS: Final = (
    *("root", "level", "kind", "account_id", "name", "plan_id", "limit_id", "meter", "window", "starts_at"),
    *("resets_at", "hard", "action", "used", "held", "leased", "limit_amount", "added", "remaining", "lacking"),
    *("as_of", "version"),
)
# As the columns are: what plugins state may be far more than 38 digits hold with 18 of them behind the point.
_WIDE: Final = Context(prec=76)
_LEAST: Final = Decimal(1).scaleb(-COST_SCALE)


@dataclass(frozen=True)
class State:
    """A standing of a root at `as_of` (Unix microseconds, the machine's time): of two rows the later one counts."""

    root: str
    standing: Standing
    as_of: int


def write_states(clickhouse: ClickHouse, states: Iterable[State]) -> int:
    """Writes them in one insert; the same ones again change nothing. Returns how many. Raises Retryable."""
    rows = [_row(state) for state in states]
    if rows:
        clickhouse.insert("stored_quota_state", _COLUMNS, rows)
    return len(rows)


def _row(state: State) -> list[Any]:
    told, level = state.standing, level_of(state.standing.level)
    amounts = (told.used, told.held, told.leased, told.limit, told.added, told.remaining)
    return [
        *(state.root, told.level, level.kind.value, level.account_id, level.name),
        *(told.plan_id, told.limit_id, told.meter, told.window.value, moment_of(told.starts_at)),
        *(None if told.resets_at is None else moment_of(told.resets_at), told.hard, told.action.value),
        *(amount.quantize(_LEAST, context=_WIDE) for amount in amounts),
        *(told.lacking, moment_of(state.as_of), state.as_of),
    ]
