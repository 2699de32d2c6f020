"""Whether anybody listens where a command will ask, told in seconds and with the mend.

Kafka's client waits for a long time for a broker that is not there, so its address is knocked at first. ClickHouse is
asked at once, and knocked at only to explain a failure. Commands that must outlive an outage (`sink`) do not come here.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import typer

from taximeter_schemas.errors import Misconfigured, Retryable

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_schemas.settings import ClickHouseSettings, KafkaSettings

KNOCK_SECONDS = 3.0
_SILENCE_SECONDS = 2.0
_KAFKA_PORT = 9092
_START = "start the local stack with `taximeter up`, or set"


@contextmanager
def asking_kafka(kafka: KafkaSettings) -> Iterator[None]:
    """Around the first questions to Kafka: Misconfigured where nobody listens, a word on stderr about a longer wait."""
    where = kafka.client_config()["bootstrap.servers"]
    places = kafka_places(where)
    refusals = [refusal for place in places if (refusal := _knock(*place)) is not None]
    if len(refusals) == len(places):
        raise Misconfigured(
            f"nobody listens at {where} for Kafka ({refusals[0]})", mend=f"{_START} KAFKA_BOOTSTRAP_SERVERS"
        )
    with _waiting(f"waiting for Kafka at {where}, which is asked as {kafka.security_protocol} ..."):
        yield


def open_clickhouse(
    settings: ClickHouseSettings, *, database: str | None = None, timeout_seconds: float = 120
) -> ClickHouse:
    """A connection. Raises Misconfigured with address and mend where nobody answers; no password is in the text."""
    from taximeter_consumers.clickhouse import connect

    scheme, host, port = clickhouse_place(settings.url.get_secret_value())
    try:
        with _waiting(f"waiting for ClickHouse at {host}:{port}, which is asked over {scheme} ..."):
            return connect(settings, database=database, timeout_seconds=timeout_seconds)
    except Retryable as error:
        refusal = _knock(host, port)
        if refusal is not None:
            raise Misconfigured(
                f"nobody listens at {host}:{port} for ClickHouse ({refusal})", mend=f"{_START} CLICKHOUSE_URL"
            ) from error
        raise Misconfigured(
            f"{host}:{port} takes connections, but gives no good answer to {scheme} ({error})",
            mend="look at http or https and at the port in CLICKHOUSE_URL; usual are http and 8123, https and 8443",
        ) from error


def kafka_places(servers: str) -> list[tuple[str, int]]:
    """Host and port of each server in librdkafka's list, `[PROTOCOL://]HOST[:PORT],...`. Raises Misconfigured."""
    places = []
    for server in servers.split(","):
        try:
            parts = urlsplit(f"//{server.strip().rpartition('://')[2]}")
            places.append((parts.hostname or "", parts.port or _KAFKA_PORT))
        except ValueError:
            places.append(("", 0))
    if not all(host for host, _ in places):
        raise Misconfigured(
            "KAFKA_BOOTSTRAP_SERVERS is not a list of servers", mend="write it as HOST:PORT or HOST:PORT,HOST:PORT"
        )
    return places


def clickhouse_place(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of CLICKHOUSE_URL. Raises Misconfigured, which does not show the URL."""
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme, host, port = "", None, None
    if scheme not in {"http", "https"} or not host:
        raise Misconfigured(
            "CLICKHOUSE_URL is not an http(s) URL",
            mend="set it to http://user:password@host:8123; write / ? # @ : in a password as %2F %3F %23 %40 %3A",
        )
    return scheme, host, port or (8443 if scheme == "https" else 8123)


@contextmanager
def _waiting(said: str) -> Iterator[None]:
    """Says it on stderr once the wait has become long enough to wonder."""
    timer = threading.Timer(_SILENCE_SECONDS, typer.echo, [said], {"err": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _knock(host: str, port: int) -> str | None:
    """None where somebody listens, else why not, in the system's words."""
    try:
        socket.create_connection((host, port), timeout=KNOCK_SECONDS).close()
    except (OSError, UnicodeError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None
