"""Pages of usage, the newest first, by the clock in the event's id.

A page is read in two steps: where its events are, by key columns alone, then those events, priced. It begins after an
event and not at a number, so what arrives meanwhile neither repeats nor skips another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from taximeter_consumers.api.cursor import cursor_of, place_of, useless
from taximeter_consumers.api.reads.priced_events import COLUMNS, Priced, priced
from taximeter_consumers.api.reads.sql import EXACT

if TYPE_CHECKING:
    from taximeter_consumers.api.reads.books import Books
    from taximeter_consumers.api.reads.usage_filter import UsageAsked
    from taximeter_consumers.clickhouse import ClickHouse

_AFTER: Final = """
AND id_time <= fromUnixTimestamp64Milli({after_ms:Int64}, 'UTC')
AND (id_time, event_id, account_id)
    < (fromUnixTimestamp64Milli({after_ms:Int64}, 'UTC'), {after_id:UUID}, {after_account:String})
"""
_KEYS: Final = f"""
SELECT toUnixTimestamp64Milli(id_time), toString(event_id), account_id
FROM stored_events FINAL
WHERE {{condition}} {{after}}
ORDER BY id_time DESC, event_id DESC, account_id DESC
LIMIT {{limit}}
SETTINGS {EXACT}
"""  # noqa: S608 - our own text
_EVENTS: Final = f"""
SELECT {COLUMNS} FROM stored_events FINAL
WHERE account_id IN {{accounts:Array(String)}} AND event_id IN {{ids:Array(UUID)}}
  AND id_time >= fromUnixTimestamp64Milli({{first:Int64}}, 'UTC')
  AND id_time <= fromUnixTimestamp64Milli({{last:Int64}}, 'UTC')
SETTINGS {EXACT}
"""  # noqa: S608 - our own text
Key = tuple[int, str, str]
"""(id time in Unix milliseconds, event id, account)."""


def usage_page(
    clickhouse: ClickHouse, books: Books, asked: UsageAsked, cursor: str | None, limit: int
) -> tuple[list[Priced], str | None]:
    """At most `limit` events, and the cursor of the next page. Raises the problem invalid for a wrong cursor."""
    keys = _keys(clickhouse, asked, cursor, limit + 1)
    page = keys[:limit]
    following = cursor_of(page[-1], asked.question) if len(keys) > limit else None
    return _events(clickhouse, books, page), following


def _keys(clickhouse: ClickHouse, asked: UsageAsked, cursor: str | None, limit: int) -> list[Key]:
    parameters: dict[str, Any] = {**asked.parameters, "limit": limit}
    after = ""
    if cursor is not None:
        place = after_place(cursor, asked)
        after = _AFTER
        parameters |= dict(zip(("after_ms", "after_id", "after_account"), place, strict=True))
    sql = _KEYS.replace("{condition}", asked.condition).replace("{after}", after).replace("{limit}", "{limit:UInt64}")
    return [(int(at), str(event), str(account)) for at, event, account in clickhouse.rows(sql, parameters)]


def _events(clickhouse: ClickHouse, books: Books, page: list[Key]) -> list[Priced]:
    if not page:
        return []
    rows = clickhouse.records(
        _EVENTS,
        {
            "accounts": sorted({account for _, _, account in page}),
            "ids": [event for _, event, _ in page],
            "first": min(at for at, _, _ in page),
            "last": max(at for at, _, _ in page),
        },
    )
    found = {(str(row["event_id"]), row["account_id"]): row for row in rows}
    # An event may have been replaced by its earlier copy in between; its key stays.
    there = [found[event, account] for _, event, account in page if (event, account) in found]
    return priced(clickhouse, books, there)


def after_place(cursor: str, asked: UsageAsked) -> Key:
    """The event that a page begins after. Raises the problem invalid."""
    at, event, account = place_of(cursor, asked.question, (int, str, str))
    try:
        UUID(event)
    except ValueError:
        raise useless() from None
    if not 0 <= at < 2**48 or len(account) > 1_024 or not account.isprintable():
        raise useless()
    return at, event, account
