"""Whether rows name a user who was erased: a replay stores what is there already, under the name that was taken away.

Such a copy has the coordinates of the first one, so nothing tells it from that but the name; what was counted under the
name that the erasure gave must then be emptied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from taximeter_consumers.clickhouse import ClickHouse

_ERASURES: Final = "SELECT count() FROM stored_erasures"
_BACK: Final = """
SELECT count()
FROM (SELECT DISTINCT user_id FROM stored_events WHERE {rows}) AS named
CROSS JOIN (SELECT DISTINCT salt FROM stored_erasures) AS salted
WHERE lower(hex(SHA256(concat(salted.salt, named.user_id)))) IN (SELECT digest FROM stored_erasures)
"""


def names_erased(clickhouse: ClickHouse, rows: str, parameters: Mapping[str, Any]) -> bool:
    """Whether one of the rows (a condition on stored_events) does. Nothing is read where nobody was ever erased."""
    if not clickhouse.scalar(_ERASURES):
        return False
    return bool(clickhouse.scalar(_BACK.replace("{rows}", rows), parameters))
