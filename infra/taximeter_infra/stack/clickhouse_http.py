"""One statement over ClickHouse's HTTP interface, for the stack's own probes. The pipeline uses clickhouse-connect."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True)
class Answer:
    """What came back: the HTTP status, ClickHouse's error code (0 for none) and the body."""

    status: int
    code: int
    text: str

    @property
    def ok(self) -> bool:
        """Whether the statement succeeded."""
        return self.status == http.HTTPStatus.OK and self.code == 0


@dataclass(frozen=True)
class Endpoint:
    """Where and as whom to ask."""

    host: str
    port: int
    user: str = "default"
    password: str = ""
    tls: bool = False

    @classmethod
    def of_url(cls, url: str) -> Endpoint:
        """From `http(s)://[user:password@]host[:port]`. Raises ValueError when it is not such a URL."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("not an http(s) URL with a host")
        tls = parts.scheme == "https"
        port = parts.port or (8443 if tls else 8123)
        return cls(parts.hostname, port, unquote(parts.username or "default"), unquote(parts.password or ""), tls)

    def ask(self, sql: str, timeout: float = 2.0) -> Answer:
        """Send one statement. Raises OSError or http.client.HTTPException when nobody answers in HTTP."""
        kind = http.client.HTTPSConnection if self.tls else http.client.HTTPConnection
        connection = kind(self.host, self.port, timeout=timeout)
        try:
            headers = {"X-ClickHouse-User": self.user, "X-ClickHouse-Key": self.password}
            connection.request("POST", "/", sql.encode(), headers)
            response = connection.getresponse()
            text = response.read().decode("utf-8", "replace")
            code = response.getheader("X-ClickHouse-Exception-Code") or "0"
            return Answer(response.status, int(code) if code.isdigit() else -1, text.strip())
        finally:
            connection.close()
