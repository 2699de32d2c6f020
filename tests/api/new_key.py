"""Keys for tests."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from taximeter_consumers.api import key_store
from taximeter_consumers.api.keys import Key, Scope, hash_of, made, text_of
from taximeter_consumers.clickhouse import ClickHouse

READING = frozenset({Scope.READ, Scope.BILLING})


def new_key(clickhouse: ClickHouse, account: str, scopes: frozenset[Scope] = READING, **more: Any) -> str:
    """A stored key, as its owner has it."""
    shown = made(secrets.token_bytes)
    key = Key(shown.key_id, hash_of(shown.secret), "test", account, scopes, datetime.now(UTC))
    key_store.keep(clickhouse, shown, replace(key, **more))
    return text_of(shown)
