"""Where the API is and with which secrets it is asked. No text of it has a secret."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import urlsplit

from taximeter.client.call import Call, Secret
from taximeter.client.conversation import Patience
from taximeter_schemas.errors import Misconfigured

URL = "TAXIMETER_API_URL"
KEY = "TAXIMETER_API_KEY"
WORKER_KEY = "INTERNAL_API_KEY"


@dataclass(frozen=True)
class Terms:
    """`timeout` is in seconds, for each of connecting, sending and waiting for the next byte.

    Raises Misconfigured for a URL that is none, and for a key that no header can carry."""

    base_url: str
    api_key: str = field(default="", repr=False)
    internal_key: str = field(default="", repr=False)
    timeout: float = 30.0
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise Misconfigured("the base_url is no address of the API", mend="give one like https://meter.example.com")
        for secret in (self.api_key, self.internal_key):
            if not (secret.isascii() and secret.isprintable()) or secret != secret.strip():
                raise Misconfigured(
                    "the key has characters that no key has", mend="copy it whole, without the line's end"
                )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Terms:
        """By TAXIMETER_API_URL, TAXIMETER_API_KEY and, for workers, INTERNAL_API_KEY. Raises Misconfigured."""
        found = os.environ if environment is None else environment
        if not found.get(URL):
            raise Misconfigured(f"{URL} is not set", mend="set it to where `taximeter api` listens")
        return cls(found[URL], found.get(KEY, ""), found.get(WORKER_KEY, ""))

    def headers(self, call: Call[object]) -> dict[str, str]:
        """All headers of a request. Raises Misconfigured where the secret that it needs was not given."""
        found = {"Accept": "application/json", "User-Agent": USER_AGENT, **call.headers}
        if call.secret is Secret.API:
            found["Authorization"] = f"Bearer {_there(self.api_key, 'api_key', KEY)}"
        elif call.secret is Secret.WORKER:
            # The name with hyphens: some proxies drop one with underscores.
            found["X-Internal-Api-Key"] = _there(self.internal_key, "internal_key", WORKER_KEY)
        return found

    def url(self, call: Call[object]) -> str:
        """The whole address, without the query."""
        return self.base_url.rstrip("/") + call.url


def _there(secret: str, name: str, variable: str) -> str:
    if not secret:
        raise Misconfigured(f"the client has no {name}", mend=f"give {name}=..., or set {variable}")
    return secret


def _version() -> str:
    try:
        return version("taximeter")
    except PackageNotFoundError:
        return "0"


USER_AGENT = f"taximeter-python/{_version()}"
