"""API keys as values: their form, their hash, and whether one opens a door. Pure.

A key reads `tm_<id>_<secret>`: 16 and 64 hexadecimal digits. The id finds the row; the secret is 256 random bits and
is kept nowhere, only its SHA-256.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

ALL_ACCOUNTS: Final = "*"
_FORM: Final = re.compile(r"tm_([0-9a-f]{16})_([0-9a-f]{64})")


class Scope(StrEnum):
    """What a key may do. `admin` may do everything."""

    INGEST = "ingest"
    READ = "read"
    BILLING = "billing"
    ADMIN = "admin"


@dataclass(frozen=True)
class Key:
    """A stored key. `account_id` is the only account that it sees, `*` all. Times are UTC."""

    key_id: str
    secret_hash: str
    name: str
    account_id: str
    scopes: frozenset[Scope]
    created_at: datetime
    created_by: str = ""
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_by: str = ""

    def opens(self, secret: str, now: datetime) -> bool:
        """Whether this secret is the key's and the key still holds. Takes equally long whatever the secret is."""
        is_right = hmac.compare_digest(hash_of(secret), self.secret_hash)
        return is_right and self.state(now) == "active"

    def state(self, now: datetime) -> str:
        """active, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"

    def may(self, scope: Scope) -> bool:
        """Whether the key has a scope."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


@dataclass(frozen=True)
class Presented:
    """A key as a caller shows it. Never log it."""

    key_id: str
    secret: str

    def __repr__(self) -> str:
        return f"Presented({self.key_id!r}, ...)"


def presented(text: str) -> Presented | None:
    """The two parts of a key, None where the text has not its form."""
    found = _FORM.fullmatch(text)
    return Presented(found.group(1), found.group(2)) if found else None


def made(random: Callable[[int], bytes]) -> Presented:
    """A new key out of random bytes, as `secrets.token_bytes` gives them."""
    return Presented(random(8).hex(), random(32).hex())


def text_of(key: Presented) -> str:
    """The key as its owner gets it, once."""
    return f"tm_{key.key_id}_{key.secret}"


def hash_of(secret: str) -> str:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()
