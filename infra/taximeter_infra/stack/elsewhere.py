"""Servers that are not ours (`--kafka`, `--clickhouse`): looked at once, never started or stopped."""

from __future__ import annotations

import http.client

from pydantic import SecretStr

from taximeter_infra.stack.clickhouse_http import Endpoint
from taximeter_infra.stack.kafka_probe import Cluster, look
from taximeter_infra.stack.plan import without_credentials
from taximeter_schemas.errors import Misconfigured, Retryable
from taximeter_schemas.settings import KafkaSettings

LOOK_SECONDS = 10.0


def require_kafka(bootstrap_servers: str) -> Cluster:
    """The cluster there (credentials come from the KAFKA_ settings). Raises Retryable when it does not answer."""
    cluster = look(KafkaSettings(bootstrap_servers=bootstrap_servers), LOOK_SECONDS)
    if cluster is None:
        raise Retryable(
            f"no Kafka answers at {bootstrap_servers}; check --kafka, the network and the KAFKA_ settings for"
            " security and SASL"
        )
    return cluster


def require_clickhouse(url: SecretStr) -> str:
    """The version of the server there. Raises Misconfigured for a bad URL or login, Retryable for silence."""
    shown = without_credentials(url.get_secret_value())
    try:
        answer = Endpoint.of_url(url.get_secret_value()).ask("SELECT version()", LOOK_SECONDS)
    except ValueError as error:
        raise Misconfigured(
            "the value of --clickhouse is not a URL", mend="write it as http(s)://user:password@host:port"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise Retryable(f"no ClickHouse answers at {shown} ({error}); check --clickhouse and the network") from error
    if not answer.ok:
        raise Misconfigured(
            f"the ClickHouse at {shown} refuses a query (HTTP {answer.status}, code {answer.code})",
            mend="check user and password in the URL, and that it is the HTTP port (8123 or 8443)",
        )
    return answer.text
