"""Settings that several parts share, as small frozen groups read once from the environment at the edge.

Environment names are the field's own: `KAFKA_BOOTSTRAP_SERVERS`, `CLICKHOUSE_URL`, `SCHEMA_REGISTRY_URL`. What is a
secret is a `SecretStr`, so that printing a group never shows it. A part that has settings of its own keeps them beside
its code and takes these as they are.
"""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class KafkaSettings(BaseSettings):
    """How to reach Kafka. Every further librdkafka option goes through `options`, by librdkafka's own names."""

    model_config = SettingsConfigDict(env_prefix="KAFKA_", frozen=True, extra="ignore")

    bootstrap_servers: str = Field("127.0.0.1:9092", min_length=1, description="host:port, comma-separated")
    security_protocol: str = Field("plaintext", description="plaintext, ssl, sasl_plaintext or sasl_ssl")
    sasl_mechanism: str | None = Field(None, description="PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER")
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_ca_location: str | None = Field(None, description="path of a CA bundle")
    options: dict[str, str] = Field(default_factory=dict, description="librdkafka options, as JSON")

    def client_config(self) -> dict[str, str]:
        """The librdkafka configuration, password included: hand it to a client, never to a log."""
        config = {"bootstrap.servers": self.bootstrap_servers, "security.protocol": self.security_protocol}
        if self.sasl_mechanism is not None:
            config["sasl.mechanism"] = self.sasl_mechanism
        if self.sasl_username is not None:
            config["sasl.username"] = self.sasl_username
        if self.sasl_password is not None:
            config["sasl.password"] = self.sasl_password.get_secret_value()
        if self.ssl_ca_location is not None:
            config["ssl.ca.location"] = self.ssl_ca_location
        return config | self.options


class ClickHouseSettings(BaseSettings):
    """How to reach ClickHouse over HTTP.

    The URL may carry user and password (`https://user:password@host:8443`); it is a secret as a whole for that reason.
    """

    model_config = SettingsConfigDict(env_prefix="CLICKHOUSE_", frozen=True, extra="ignore")

    url: SecretStr = Field(SecretStr("http://127.0.0.1:8123"), description="http(s)://[user:password@]host:port")
    database: str = Field("metering", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")


class RegistrySettings(BaseSettings):
    """Where schema ids come from. Without a URL the packaged files are the registry."""

    model_config = SettingsConfigDict(env_prefix="SCHEMA_REGISTRY_", frozen=True, extra="ignore")

    url: str | None = Field(None, description="base URL of a Confluent-compatible registry")
    basic_auth: SecretStr | None = Field(None, description="user:password")


class TopicSettings(BaseSettings):
    """The names of the topics, and what a new one gets."""

    model_config = SettingsConfigDict(env_prefix="TAXIMETER_TOPIC_", frozen=True, extra="ignore")

    events: str = "metering.events"
    dead_letters: str = "metering.events.dlq"
    quota_commands: str = "metering.quota.commands"
    quota_answers: str = "metering.quota.answers"
    quota_state: str = "metering.quota.state"
    alerts: str = "metering.alerts"
    partitions: int = Field(12, ge=1, le=10_000)
    quota_partitions: int = Field(12, ge=1, le=10_000, description="of the commands and the state; never changed later")
    retention_hours: int = Field(7 * 24, ge=1, description="how long events stay in Kafka")
    replication_factor: int = Field(
        0, ge=0, le=100, description="replicas of a new topic; 0: what the brokers give it by themselves"
    )
    min_insync_replicas: int = Field(
        0, ge=0, le=100, description="replicas that must have a record before it counts; 0: what the brokers say"
    )
