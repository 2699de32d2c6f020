"""The configuration of the one-node Kafka: pure functions from values to text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class KafkaNode:
    """Where the broker listens (loopback only) and keeps its data."""

    directory: Path
    port: int
    controller_port: int

    @property
    def logs(self) -> Path:
        """The directory of the topics."""
        return self.directory / "data"

    @property
    def formatted(self) -> bool:
        """Whether the storage tool has been here."""
        return (self.logs / "meta.properties").is_file()

    def server_properties(self) -> str:
        """`server.properties`: one node in both roles, one replica of everything, small internal topics."""
        lines = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller_port}",
            "listeners": f"BROKER://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": f"BROKER://127.0.0.1:{self.port}",
            "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "BROKER",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self.logs),
            "auto.create.topics.enable": "false",
            "default.replication.factor": "1",
            "min.insync.replicas": "1",
            "offsets.topic.num.partitions": "4",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            # A sink's session may be as short as its settings allow.
            "group.min.session.timeout.ms": "1000",
            "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
            "num.network.threads": "2",
            "num.io.threads": "4",
        }
        return "".join(f"{key}={value}\n" for key, value in lines.items())

    def java_command(self, java: str, libs: Path, *program: str) -> tuple[str, ...]:
        """Java with a small heap, the jars and the program."""
        options = (
            "-Xms128m",
            "-Xmx512m",
            "-XX:+UseG1GC",
            "-XX:+ExitOnOutOfMemoryError",
            "-Djava.awt.headless=true",
            f"-Dtaximeter.kafka.logs={self.directory}",
            f"-Dlog4j2.configurationFile={Path(__file__).parent / 'kafka' / 'log4j2.properties'}",
        )
        return (java, *options, "-cp", f"{libs}/*", *program)
