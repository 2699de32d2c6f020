"""Tokens of embedded pages: who may be shown, until when, signed. Pure.

A token is base64url(JSON), a dot, and base64url(HMAC-SHA256 of the first part), without padding. Of several secrets the
first signs and all verify, so that they can be changed without a break. Whoever has a secret can make tokens.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_SECONDS: Final = 86_400
LEAST_SECRET: Final = 32
_MOST_LENGTH: Final = 4_096
_MOST_NAME: Final = 256
_FORM: Final = re.compile(r"([A-Za-z0-9_-]{1,3900})\.([A-Za-z0-9_-]{43})")
# The clock of whoever signed may be ahead of ours.
_SKEW: Final = timedelta(minutes=5)


class Refusal(StrEnum):
    """Why a token opens nothing."""

    WRONG = "wrong"
    EXPIRED = "expired"


@dataclass(frozen=True)
class EmbedToken:
    """Shows the usage of an account, or of a user of it, until `expires_at` (UTC). `key_id`: the key that asked for it,
    which must hold, too; empty where a product signed it itself."""

    account_id: str
    user_id: str
    expires_at: datetime
    key_id: str = ""


def signed(token: EmbedToken, secret: str) -> str:
    """The token as a page gets it."""
    told = {
        "accountId": token.account_id,
        "userId": token.user_id,
        "expiresAt": int(token.expires_at.timestamp()),
        "keyId": token.key_id,
    }
    given = {name: value for name, value in told.items() if value != ""}
    text = json.dumps(given, ensure_ascii=False, separators=(",", ":"))
    payload = _encoded(text.encode())
    return f"{payload}.{_encoded(_signature(payload, secret))}"


def verified(text: str, secrets: Sequence[str], now: datetime) -> EmbedToken | Refusal:
    """The token of a text, or why it is none. Nothing of it is read before its signature is found right."""
    form = _FORM.fullmatch(text) if len(text) <= _MOST_LENGTH else None
    if form is None:
        return Refusal.WRONG
    payload, signature = form.groups()
    # All are tried, so that time says nothing of which one fits.
    fits = [hmac.compare_digest(_encoded(_signature(payload, secret)), signature) for secret in secrets]
    token = _read(payload) if any(fits) else None
    if token is None or token.expires_at > now + timedelta(seconds=LONGEST_SECONDS) + _SKEW:
        return Refusal.WRONG
    return token if now < token.expires_at else Refusal.EXPIRED


def secrets_of(text: str) -> tuple[str, ...]:
    """The secrets of a setting, apart by commas. Raises ValueError for one that is too short."""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if any(len(secret) < LEAST_SECRET for secret in found):
        raise ValueError(f"each secret needs {LEAST_SECRET} characters; `openssl rand -hex 32` makes one")
    return found


def _signature(payload: str, secret: str) -> bytes:
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).digest()


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _read(payload: str) -> EmbedToken | None:
    try:
        found: Any = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        account, user, key = (found.get(name, "") for name in ("accountId", "userId", "keyId"))
        ends = found["expiresAt"]
        names_fit = all(isinstance(name, str) and len(name) <= _MOST_NAME for name in (account, user, key))
        if not names_fit or not account or type(ends) is not int:
            return None
        return EmbedToken(account, user, datetime.fromtimestamp(ends, UTC), key)
    except (ValueError, KeyError, AttributeError, TypeError, OverflowError, OSError, RecursionError):
        return None
