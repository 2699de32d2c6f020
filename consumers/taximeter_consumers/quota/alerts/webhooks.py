"""Webhooks: each alert to each URL, signed as Standard Webhooks says, tried again until it is taken or given up.

Who takes it may get it twice after a crash, under the same `webhook-id`. Redirects are not followed: the signature is
for who was named. Neither the secret nor more of a URL than its host is ever logged.
Source: https://www.standardwebhooks.com (headers webhook-id, webhook-timestamp, webhook-signature).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import random
import threading
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

import httpx
import structlog

from taximeter_consumers.quota.alerts.alerts_out import Delivery
from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from taximeter_consumers.quota.service.settings import AlertSettings
    from taximeter_schemas.quota.answers import Alert

_log = structlog.get_logger()
_PREFIX: Final = "whsec_"
_SECRET: Final = "TAXIMETER_ALERT_WEBHOOK_SECRET"  # noqa: S105 - the name of the variable
_URLS: Final = "TAXIMETER_ALERT_WEBHOOK_URLS"
# What the other side says of the request itself; it would say so again.
_HOPELESS: Final = frozenset({400, 401, 403, 404, 405, 410, 413, 415, 422})
# What stays as it is in an id on its way: all that a header can carry. Names of plans can be anything.
_PRINTED: Final = "".join(map(chr, range(0x21, 0x7F)))


def key_of(secret: str) -> bytes:
    """The key of `whsec_<base64>`, 24 to 64 bytes. Raises Misconfigured, which does not show it."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or not 24 <= len(key) <= 64:
        raise Misconfigured(
            f"{_SECRET} is no secret of Standard Webhooks",
            mend="make one: python -c \"import base64, secrets; print('whsec_' +"
            ' base64.b64encode(secrets.token_bytes(32)).decode())"',
        )
    return key


def signature(key: bytes, webhook_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`."""
    signed = b".".join((webhook_id.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def seconds_of_retry_after(value: str | None, now: float) -> float | None:
    """What `Retry-After` says, in seconds from `now` (Unix seconds); None: nothing that can be read."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(parsedate_to_datetime(value).timestamp() - now, 0.0)
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True)
class Backoff:
    """Twice as long each time with jitter, within a bound; what the other side asks for is heard, within the bound."""

    first: float
    most: float

    def wait(self, attempt: int, asked: float | None, jitter: random.Random) -> float:
        """Seconds after the `attempt`-th failure (1 is the first)."""
        ceiling = min(self.most, self.first * 2.0 ** min(attempt - 1, 30))
        return min(self.most, max(jitter.uniform(ceiling / 2, ceiling), asked or 0.0))


class Webhooks:
    """Delivers alerts. `deliver` blocks until each URL has taken the alert or was given up, or until `stop` is set."""

    def __init__(self, settings: AlertSettings, stop: threading.Event) -> None:
        """Raises Misconfigured where URLs or secret are missing or wrong."""
        self._urls = tuple(url.get_secret_value() for url in settings.webhook_urls)
        for number, url in enumerate(self._urls):
            _require_url(url, number)
        if not self._urls or settings.webhook_secret is None:
            raise Misconfigured(
                f"there is nobody to tell: {_SECRET if self._urls else _URLS} is not set",
                mend=f"set {_URLS} to a JSON list of URLs and {_SECRET} to whsec_ and base64, or use --print",
            )
        self._key = key_of(settings.webhook_secret.get_secret_value())
        self._attempts = settings.webhook_attempts
        self._backoff = Backoff(settings.webhook_wait_seconds, settings.webhook_longest_wait_seconds)
        self._jitter = random.Random()  # noqa: S311 - jitter is no secret
        self._stop = stop
        self._client = httpx.Client(timeout=settings.webhook_timeout_seconds, follow_redirects=False)

    def deliver(self, alert: Alert, body: bytes) -> Delivery:
        """One alert to all; the worst of what came of it."""
        return max((self._to(url, alert, body) for url in self._urls), default=Delivery.DELIVERED)

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def _to(self, url: str, alert: Alert, body: bytes) -> Delivery:
        host = urlsplit(url).hostname
        problem, retry_after = "", None
        for attempt in range(1, self._attempts + 1):
            if self._stop.is_set():
                return Delivery.STOPPED
            problem, retry_after, hopeless = self._post(url, alert, body)
            if not problem:
                return Delivery.DELIVERED
            if hopeless or attempt == self._attempts:
                break
            wait = self._backoff.wait(attempt, retry_after, self._jitter)
            _log.warning("webhook failed", host=host, alert=alert.alert_id, error=problem, retry_in_seconds=wait)
            if self._stop.wait(wait):
                return Delivery.STOPPED
        _log.error("ALERT GIVEN UP: the webhook does not take it", host=host, alert=alert.alert_id, error=problem)
        return Delivery.GIVEN_UP

    def _post(self, url: str, alert: Alert, body: bytes) -> tuple[str, float | None, bool]:
        """What went wrong (empty: nothing), what Retry-After asks for, and whether trying again is of no use."""
        now, webhook_id = time.time(), quote(alert.alert_id, safe=_PRINTED)
        headers = {
            "content-type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(now)),
            "webhook-signature": signature(self._key, webhook_id, int(now), body),
        }
        try:
            answer = self._client.post(url, content=body, headers=headers)
        except httpx.HTTPError as error:
            # Its own text may hold the URL, and that a password.
            return type(error).__name__, None, False
        if answer.is_success:
            return "", None, False
        asked = seconds_of_retry_after(answer.headers.get("retry-after"), now)
        return f"it answered {answer.status_code}", asked, answer.status_code in _HOPELESS


def _require_url(url: str, number: int) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and bool(httpx.URL(url).host)
        good = good and parts.port != 0
    except (ValueError, httpx.InvalidURL):
        good = False
    if not good:
        raise Misconfigured(
            f"number {number + 1} of {_URLS} is not an http(s) URL", mend=f'write {_URLS} as ["https://host/path"]'
        )
