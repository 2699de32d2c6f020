"""A broker of a test's own that asks for TLS, passwords and rights: that of the local stack, with an authorizer."""

from __future__ import annotations

import csv
import subprocess
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, though its stubs do not re-export all
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from taximeter_infra.stack.kafka import KafkaPart
from taximeter_infra.stack.kafka_files import KafkaNode
from taximeter_schemas.settings import KafkaSettings

ACLS = Path(__file__).parents[2] / "infra" / "kafka" / "acls.csv"
PASSWORD = "test-only"


def rows() -> list[dict[str, str]]:
    """The list of rights."""
    with ACLS.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def users() -> list[str]:
    """Who has any."""
    return sorted({row["principal"] for row in rows()})


@dataclass(frozen=True)
class SecureNode(KafkaNode):
    """Clients come by SASL_SSL with a password each; who has no right has none."""

    @property
    def certificate(self) -> Path:
        """What clients trust."""
        return self.directory / "broker.pem"

    def server_properties(self) -> str:
        """Those of the local stack, with another listener."""
        known = " ".join(f'user_{name}="{PASSWORD}"' for name in ("admin", *users()))
        plain = (
            f'org.apache.kafka.common.security.plain.PlainLoginModule required username="admin" password="{PASSWORD}"'
        )
        return super().server_properties() + "".join(
            f"{key}={value}\n"
            for key, value in {
                "listener.security.protocol.map": "BROKER:SASL_SSL,CONTROLLER:PLAINTEXT",
                "sasl.enabled.mechanisms": "PLAIN",
                "sasl.mechanism.inter.broker.protocol": "PLAIN",
                "listener.name.broker.plain.sasl.jaas.config": f"{plain} {known};",
                "ssl.keystore.location": self.directory / "broker.p12",
                "ssl.keystore.password": PASSWORD,
                "ssl.keystore.type": "PKCS12",
                "ssl.truststore.location": self.directory / "trusted.p12",
                "ssl.truststore.password": PASSWORD,
                "ssl.truststore.type": "PKCS12",
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                # The controller's own listener is on this machine only and has no users.
                "super.users": "User:admin;User:ANONYMOUS",
            }.items()
        )

    def make_certificate(self) -> None:
        """Self-signed, for 127.0.0.1."""
        self.directory.mkdir(parents=True, exist_ok=True)
        store = ["-storepass", PASSWORD, "-storetype", "PKCS12", "-alias", "broker"]
        named = ["-dname", "CN=broker", "-ext", "san=ip:127.0.0.1"]
        for command in (
            ["-genkeypair", "-keystore", "broker.p12", "-keyalg", "EC", *named, *store],
            ["-exportcert", "-rfc", "-keystore", "broker.p12", "-file", "broker.pem", *store],
            ["-importcert", "-noprompt", "-keystore", "trusted.p12", "-file", "broker.pem", *store],
        ):
            subprocess.run(["keytool", *command], cwd=self.directory, check=True, capture_output=True)


class SecureKafka(KafkaPart):
    """The broker."""

    def __init__(self, data_dir: Path, port: int, controller_port: int) -> None:
        super().__init__(data_dir, port, controller_port, lambda _: None)
        self.node: SecureNode = SecureNode(data_dir / "kafka", port, controller_port)
        self.node.make_certificate()
        self._settings = self.settings("admin")

    def settings(self, user: str, password: str = PASSWORD) -> KafkaSettings:
        """How somebody comes in."""
        return KafkaSettings.model_validate(
            {
                "bootstrap_servers": f"127.0.0.1:{self.node.port}",
                "security_protocol": "sasl_ssl",
                "sasl_mechanism": "PLAIN",
                "sasl_username": user,
                "sasl_password": password,
                "ssl_ca_location": str(self.node.certificate),
            }
        )

    def grant_all(self) -> None:
        """Gives everybody the rights of the list, and nobody another."""
        admin = AdminClient(self.settings("admin").client_config())
        bindings = [
            AclBinding(
                ResourceType[row["resource"].upper()],
                row["name"],
                ResourcePatternType[row["pattern"].upper()],
                f"User:{row['principal']}",
                "*",
                AclOperation[operation],
                AclPermissionType.ALLOW,
            )
            for row in rows()
            for operation in row["operations"].split()
        ]
        for done in admin.create_acls(bindings).values():
            done.result()
