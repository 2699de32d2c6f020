"""How far the cost of calls is known, over all accounts: for operators' alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

STATES: Final = ("reported", "priced", "unpriced", "unmeasured")
"""Each call is in one of them."""
ESTIMATED: Final = "estimated"

_CALLS: Final = f"""
SELECT {", ".join(f"sum({state}_calls)" for state in (*STATES, ESTIMATED))}
FROM model_costs WHERE hour > now() - toIntervalHour({{hours:UInt32}}) SETTINGS max_threads = 1
"""  # noqa: S608 - our own columns


def known_calls(clickhouse: ClickHouse, hours: int = 24) -> dict[str, int]:
    """Calls of the last hours by STATES, and those of them with an ESTIMATED use."""
    (row,) = clickhouse.rows(_CALLS, {"hours": hours})
    return dict(zip((*STATES, ESTIMATED), map(int, row), strict=True))
