"""Which accounts have used something since the last look: those whose rows of quota_usage have another version.

A tick takes its version before it reads anything, and records it when all is written; until then its rows may be there
in part. So a version is done with only once a look found it recorded and saw its rows afterwards. Versions that are not
done are looked at again, account by account: by how many rows there are and what versions they have. What no tick ever
records (re-ratings, ticks that died) is left alone after a while, and by then whoever looks has read everything anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

# Longer than any tick takes.
LOOKED_BACK: Final = 20 * 60 * 1_000_000
_RECORDED: Final = """
SELECT DISTINCT version
FROM
(
    SELECT tick AS version FROM stored_rolled_up_batches
    WHERE stored_at >= toStartOfMonth(now() - INTERVAL 1 DAY, 'UTC') AND tick > {since:UInt64}
    UNION ALL
    SELECT tick FROM stored_book_versions WHERE tick > {since:UInt64}
)
"""
_ACCOUNTS: Final = """
SELECT account_id, toUnixTimestamp(min(minute)), count(), sum(version), countIf(version IN ({recorded}))
FROM stored_quota_usage
WHERE version > {since} AND version NOT IN ({done})
GROUP BY account_id
"""

_Mark = tuple[Any, ...]


@dataclass(frozen=True)
class Seen:
    """What a look left behind: versions that are done with, and how the rows of the others were by account."""

    done: frozenset[int] = frozenset()
    marks: dict[str, _Mark] = field(default_factory=dict)


def look(clickhouse: ClickHouse, seen: Seen, now: int) -> tuple[dict[str, int], Seen]:
    """The accounts with changes since `seen`, each with when the earliest changed minute begins, and what is seen now.
    `now`: by the server's clock; both in Unix microseconds.

    Costs the rows of the granules that were written in the last twenty minutes. Raises Retryable.
    """
    since = max(0, now - LOOKED_BACK)
    recorded = {int(version) for (version,) in clickhouse.rows(_RECORDED, {"since": since})}
    done = {version for version in seen.done if version > since}
    sql = _ACCOUNTS.format(recorded=_numbers(recorded - done), done=_numbers(done), since=since)
    marks = {account_id: tuple(mark) for account_id, *mark in clickhouse.rows(sql)}
    changed = {name: int(mark[0]) * 1_000_000 for name, mark in marks.items() if seen.marks.get(name) != mark}
    return changed, Seen(frozenset(done | recorded), marks)


def _numbers(versions: set[int]) -> str:
    return ", ".join(f"toUInt64({version})" for version in sorted(versions)) or "toUInt64(0)"
