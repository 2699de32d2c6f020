"""API keys in ClickHouse: made, listed, revoked, found. Making and revoking are one INSERT each; both may be repeated.

Rotation is to make a second key, move its users over, and revoke the first.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.api.keys import ALL_ACCOUNTS, Key, Presented, Scope, hash_of
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from taximeter_consumers.clickhouse import ClickHouse

_COLUMNS: Final = (
    "key_id, secret_hash, name, account_id, scopes, created_at, created_by, expires_at, revoked_at, revoked_by"
)
_FIND: Final = f"SELECT {_COLUMNS} FROM stored_api_keys FINAL WHERE key_id = {{key_id:String}}"  # noqa: S608 - our own columns
_LIST: Final = f"""
SELECT {_COLUMNS} FROM stored_api_keys FINAL
WHERE {{account:String}} = '' OR account_id = {{account:String}} ORDER BY created_at, key_id
"""  # noqa: S608 - our own columns
_REVOKE: Final = """
INSERT INTO stored_api_keys
SELECT * REPLACE (now64(6) AS revoked_at, {by:String} AS revoked_by, 2 AS step)
FROM (SELECT * FROM stored_api_keys FINAL WHERE key_id = {key_id:String} AND step = 1)
"""


def keep(clickhouse: ClickHouse, key: Presented, described: Key) -> Key:
    """Stores a new key under the hash of its secret. Raises Misconfigured for one without account, name or scope."""
    if not described.account_id or not described.name or not described.scopes:
        raise Misconfigured(
            "a key needs a name, a scope and an account", mend=f"name an account, or {ALL_ACCOUNTS} for all of them"
        )
    row = {
        "key_id": key.key_id,
        "secret_hash": hash_of(key.secret),
        "name": described.name,
        "account_id": described.account_id,
        "scopes": sorted(described.scopes),
        "created_at": described.created_at.isoformat(),
        "created_by": described.created_by,
        "expires_at": described.expires_at.isoformat() if described.expires_at else None,
        "step": 1,
    }
    clickhouse.execute_with_data(
        f"INSERT INTO stored_api_keys ({', '.join(row)}) FORMAT JSONEachRow",
        json.dumps(row, ensure_ascii=False).encode(),
        parameters={},
        settings={"async_insert": 0, "date_time_input_format": "best_effort"},
    )
    return described


def revoke(clickhouse: ClickHouse, key_id: str, by: str) -> Key:
    """From now on the key opens nothing, in every API process within seconds. Doing it again changes nothing.

    Raises Misconfigured where there is no such key."""
    clickhouse.execute(_REVOKE, {"key_id": key_id, "by": by})
    found = find(clickhouse, key_id)
    if found is None:
        raise Misconfigured(f"there is no key {key_id}", mend="`taximeter keys list` shows those that are there")
    return found


def find(clickhouse: ClickHouse, key_id: str) -> Key | None:
    """The key of an id."""
    rows = clickhouse.records(_FIND, {"key_id": key_id})
    return _key(rows[0]) if rows else None


def listed(clickhouse: ClickHouse, account_id: str = "") -> list[Key]:
    """All keys, or those of an account, by when they were made."""
    return [_key(row) for row in clickhouse.records(_LIST, {"account": account_id})]


def scopes_of(names: Iterable[str]) -> frozenset[Scope]:
    """Scopes by name. Raises Misconfigured for a word that is none."""
    given = list(names)
    unknown = sorted(set(given) - {scope.value for scope in Scope})
    if unknown:
        raise Misconfigured(f"{', '.join(unknown)} is no scope", mend=f"use {', '.join(Scope)}")
    return frozenset(Scope(name) for name in given)


def _key(row: Mapping[str, Any]) -> Key:
    values = {name: _zoned(value) for name, value in row.items()}
    # A scope of a later version opens nothing here.
    known = {scope.value for scope in Scope}
    return Key(**{**values, "scopes": frozenset(Scope(name) for name in row["scopes"] if name in known)})


def _zoned(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value
