"""What somebody wants of the local stack (`StackPlan`) and where it then is (`StackAddresses`)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from taximeter_infra.stack.broker_choice import BrokerWish
from taximeter_infra.stack.room import free_ports

KAFKA_PORT = 9092
CONTROLLER_PORT = 9093
CLICKHOUSE_HTTP_PORT = 8123
CLICKHOUSE_TCP_PORT = 9000


def default_data_dir(environment: Mapping[str, str] | None = None) -> Path:
    """`$TAXIMETER_DATA_DIR`, else `$XDG_STATE_HOME/taximeter`, else `~/.local/state/taximeter`."""
    known = os.environ if environment is None else environment
    if known.get("TAXIMETER_DATA_DIR"):
        return Path(known["TAXIMETER_DATA_DIR"]).expanduser().resolve()
    state = known.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "taximeter"


@dataclass(frozen=True)
class StackPlan:
    """What to start and where. A port of 0 means: pick a free one. `kafka` and `clickhouse` name servers of yours."""

    data_dir: Path = field(default_factory=default_data_dir)
    kafka: str | None = None
    clickhouse: SecretStr | None = None
    broker: BrokerWish = "auto"
    kafka_port: int = KAFKA_PORT
    controller_port: int = CONTROLLER_PORT
    clickhouse_http_port: int = CLICKHOUSE_HTTP_PORT
    clickhouse_tcp_port: int = CLICKHOUSE_TCP_PORT

    @classmethod
    def on_free_ports(cls, data_dir: Path, broker: BrokerWish = "auto") -> StackPlan:
        """A stack that gets out of everybody's way: tests and demos."""
        return cls(data_dir, None, None, broker, 0, 0, 0, 0)

    def settled(self) -> StackPlan:
        """The same plan with a free port in the place of every 0."""
        kafka, controller, http, native = free_ports(4)
        return replace(
            self,
            kafka_port=self.kafka_port or kafka,
            controller_port=self.controller_port or controller,
            clickhouse_http_port=self.clickhouse_http_port or http,
            clickhouse_tcp_port=self.clickhouse_tcp_port or native,
        )

    def as_json(self) -> dict[str, Any]:
        """For a pipe to the daemon; it may carry a password."""
        url = None if self.clickhouse is None else self.clickhouse.get_secret_value()
        return {**vars(self), "data_dir": str(self.data_dir), "clickhouse": url}

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> StackPlan:
        """The inverse of `as_json`."""
        url = values["clickhouse"]
        secret = None if url is None else SecretStr(url)
        return cls(**{**values, "data_dir": Path(values["data_dir"]), "clickhouse": secret})


@dataclass(frozen=True)
class StackAddresses:
    """Where the parts answer. `clickhouse_url` carries user and password, so it is a secret as a whole."""

    bootstrap_servers: str
    clickhouse_url: SecretStr
    clickhouse_native: str | None
    analyst_url: str
    broker_product: str
    broker_version: str
    clickhouse_version: str
    data_dir: Path

    def environment(self) -> dict[str, str]:
        """What `KafkaSettings` and `ClickHouseSettings` read, for child processes. It holds the password."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "CLICKHOUSE_URL": self.clickhouse_url.get_secret_value(),
        }

    def as_json(self) -> dict[str, Any]:
        """For `stack.json`, a file that only its owner can read: the password is in it."""
        url = self.clickhouse_url.get_secret_value()
        return {**vars(self), "clickhouse_url": url, "data_dir": str(self.data_dir)}

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> StackAddresses:
        """The inverse of `as_json`."""
        url = SecretStr(values["clickhouse_url"])
        return cls(**{**values, "clickhouse_url": url, "data_dir": Path(values["data_dir"])})


def without_credentials(url: str) -> str:
    """The URL without user and password, fit for a table or a log."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
