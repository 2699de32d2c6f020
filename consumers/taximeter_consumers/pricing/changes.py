"""Which stored events a new version of the book may price differently, as conditions. Comparing versions is pure.

A new pair of names touches nothing: its events are priced when their batch is rolled up. A change is told by the
earliest instants of the entries that differ; what it covers too much is recomputed to the same result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.pricing.units import PLUGIN, RESOURCE

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

Key = tuple[str, str, str]
"""(account or empty, provider, model), as in the events."""
StoredEntries = Sequence[tuple[Any, ...]]

MOST_NAMED: Final = 1_000
"""So many pairs, plugins or accounts are named in a condition; of more it covers all, since the server bounds the
length of a parameter."""

# Instants as Unix microseconds; a tuple without names comes as a tuple.
_ENTRIES: Final = """arrayMap(
    entry -> (
        toUnixTimestamp64Micro(entry.1), toUnixTimestamp64Micro(entry.2), entry.3, entry.4, entry.5, entry.6, entry.7
    ),
    entries
)"""
_SERIES: Final = f"""
SELECT account_id, provider, model, {_ENTRIES}
FROM stored_price_series FINAL
WHERE book_version = {{version:UInt64}}
  AND (account_id, provider, model, entries) NOT IN (
      SELECT account_id, provider, model, entries FROM stored_price_series WHERE book_version = {{other:UInt64}}
  )
"""  # noqa: S608 - our own columns
_LIST: Final = f"""
SELECT provider, model, {_ENTRIES}
FROM stored_price_series FINAL
WHERE book_version = {{version:UInt64}} AND account_id = ''
"""  # noqa: S608 - our own columns


@dataclass(frozen=True)
class Change:
    """Events of a pair (of one account, or of all: empty) that ended at or after `since` and arrived at or after
    `known`, both Unix microseconds."""

    account_id: str
    provider: str
    model: str
    since: int
    known: int


def changes(clickhouse: ClickHouse, old: int, new: int) -> list[Change]:
    """What differs between two stored versions of the book."""
    before = _series(clickhouse, old, new)
    after = _series(clickhouse, new, old)
    return differences(before, after, _list_series(clickhouse, old), _list_series(clickhouse, new))


def differences(
    before: Mapping[Key, StoredEntries],
    after: Mapping[Key, StoredEntries],
    old_list: Mapping[tuple[str, str], StoredEntries],
    new_list: Mapping[tuple[str, str], StoredEntries],
) -> list[Change]:
    """The changes between series that differ, given everybody's series of both versions: an account whose own series
    begins or ends changes from or to those."""
    found = []
    for account, provider, model in sorted({*before, *after}):
        pair = (provider, model)
        if provider not in (PLUGIN, RESOURCE) and pair not in old_list:
            continue
        was = before.get((account, provider, model), old_list.get(pair, ()) if account else ())
        becomes = after.get((account, provider, model), new_list.get(pair, ()) if account else ())
        changed = set(was) ^ set(becomes)
        if changed:
            since, known = min(entry[1] for entry in changed), min(entry[0] for entry in changed)
            found.append(Change(account, provider, model, since, known))
    return found


def condition(found: Sequence[Change]) -> tuple[str, dict[str, Any]]:
    """A condition over stored_events that all events of the changes meet, with its parameters."""
    pairs = sorted({(one.provider, one.model) for one in found if one.provider not in (PLUGIN, RESOURCE)})
    plugins = sorted({one.model for one in found if one.provider == PLUGIN})
    accounts = sorted({one.account_id for one in found})
    every = any(one.provider == RESOURCE for one in found) or max(len(pairs), len(plugins)) > MOST_NAMED
    named = accounts if "" not in accounts and len(accounts) <= MOST_NAMED else []
    text = "((provider, model) IN {pairs:Array(Tuple(String, String))} OR plugin_id IN {plugins:Array(String)}"
    text += " OR {every:Bool})"
    text += " AND occurred_at >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')"
    text += " AND arrived_at >= fromUnixTimestamp64Micro({known:Int64}, 'UTC')"
    if named:
        text += " AND account_id IN {accounts:Array(String)}"
    return text, {
        "pairs": [] if every else pairs,
        "plugins": [] if every else plugins,
        "every": every,
        "since": min(one.since for one in found),
        "known": min(one.known for one in found),
        "accounts": named,
    }


def _series(clickhouse: ClickHouse, version: int, other: int) -> dict[Key, StoredEntries]:
    rows = clickhouse.rows(_SERIES, {"version": version, "other": other})
    return {(account, provider, model): entries for account, provider, model, entries in rows if provider}


def _list_series(clickhouse: ClickHouse, version: int) -> dict[tuple[str, str], StoredEntries]:
    return {(provider, model): entries for provider, model, entries in clickhouse.rows(_LIST, {"version": version})}
