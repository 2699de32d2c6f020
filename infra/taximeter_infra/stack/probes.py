"""Asking the parts of a running stack whether they answer: what `taximeter status` shows."""

from __future__ import annotations

import http.client

from pydantic import SecretStr

from taximeter_infra.stack.clickhouse_http import Endpoint
from taximeter_infra.stack.kafka_probe import look
from taximeter_infra.stack.part import PartHealth
from taximeter_infra.stack.plan import StackAddresses, without_credentials
from taximeter_schemas.settings import KafkaSettings


def ask_parts(addresses: StackAddresses, timeout: float = 3.0) -> list[PartHealth]:
    """One question to each part; `timeout` seconds for each at most."""
    return [_kafka(addresses, timeout), _clickhouse(addresses.clickhouse_url, addresses.clickhouse_version, timeout)]


def _kafka(addresses: StackAddresses, timeout: float) -> PartHealth:
    product = f"{addresses.broker_product} {addresses.broker_version}"
    cluster = look(KafkaSettings(bootstrap_servers=addresses.bootstrap_servers), timeout)
    if cluster is None:
        return PartHealth("kafka", product, "down", f"no answer from {addresses.bootstrap_servers}")
    return PartHealth("kafka", product, "up", f"{addresses.bootstrap_servers}, {cluster.topics} topics")


def _clickhouse(url: SecretStr, version: str, timeout: float) -> PartHealth:
    product, shown = f"ClickHouse {version}", without_credentials(url.get_secret_value())
    try:
        answer = Endpoint.of_url(url.get_secret_value()).ask("SELECT version()", timeout)
    except (OSError, http.client.HTTPException, ValueError):
        return PartHealth("clickhouse", product, "down", f"no answer from {shown}")
    if not answer.ok:
        return PartHealth("clickhouse", product, "down", f"{shown} refuses a query (code {answer.code})")
    return PartHealth("clickhouse", product, "up", shown)
