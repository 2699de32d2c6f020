"""Apache Kafka (KRaft, one node) as a part of the stack.

The data directory holds `kafka/`: `data/` (the topics), `server.properties`, `kafka.log`. The storage is formatted
once. Stopped or killed, it keeps what it acknowledged and is started again on the same ports.
"""

from __future__ import annotations

import base64
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

from taximeter_infra.stack.child import ChildSpec
from taximeter_infra.stack.java import JAVA_NEEDED, Java, find_java
from taximeter_infra.stack.kafka_files import KafkaNode
from taximeter_infra.stack.kafka_jars import cache_dir, require_jars
from taximeter_infra.stack.kafka_probe import group_coordinator_answers, look
from taximeter_infra.stack.room import disk_short, free_bytes, port_answers, require_disk, require_port
from taximeter_schemas.errors import Misconfigured, Retryable, TaximeterError
from taximeter_schemas.settings import KafkaSettings

FORMAT_SECONDS = 60


def java_problem(java: Java | None) -> Misconfigured | None:
    """What is wrong with the Java of this machine, or None."""
    if java is not None and java.recent_enough:
        return None
    if java is None:
        problem = f"Apache Kafka needs Java {JAVA_NEEDED} or later, and there is none"
    elif java.major is None:
        problem = f"{java.executable} does not say which version it is"
    else:
        problem = f"Apache Kafka needs Java {JAVA_NEEDED} or later; {java.executable} is Java {java.major}"
    return Misconfigured(
        problem,
        mend=f"install one (`apt install openjdk-{JAVA_NEEDED}-jre-headless`), set JAVA_HOME to it,"
        " or take the other broker with --broker tansu",
    )


def explain_start(log: str, node: KafkaNode, free: int) -> TaximeterError:
    """Why the broker did not come up, from what it wrote."""
    if "Address already in use" in log:
        return Misconfigured(
            f"port {node.port} or {node.controller_port} was taken by another process while Kafka started",
            mend="start again, or choose other ports with --kafka-port and --controller-port",
        )
    if "Failed to acquire lock on file" in log:
        return Misconfigured(
            f"another Kafka is using {node.logs}",
            mend="stop it with `taximeter down`, or choose another directory with --data-dir",
        )
    if "No space left" in log:
        return disk_short(node.directory, free)
    ending = "\n".join(log.splitlines()[-15:])
    return Retryable(f"Kafka did not come up (its log is {node.directory / 'kafka.log'}); it wrote:\n{ending}")


class KafkaPart:
    """The broker."""

    name = "kafka"
    restarts = True
    ready_within = 90.0

    def __init__(self, data_dir: Path, port: int, controller_port: int, report: Callable[[str], None]) -> None:
        self.node = KafkaNode(data_dir / "kafka", port, controller_port)
        self._report = report
        self._settings = KafkaSettings(bootstrap_servers=f"127.0.0.1:{port}", security_protocol="plaintext")

    def prepare(self) -> ChildSpec:
        """Fetch the jars and format the storage where that is still to do.

        Raises Misconfigured (Java, Maven, ports, disk) and Retryable (the download failed).
        """
        java = find_java()
        problem = java_problem(java)
        if problem is not None or java is None:
            raise problem or java_problem(None)  # type: ignore[misc]  # never None: see java_problem
        require_disk(self.node.directory)
        require_port(self.node.port, "Kafka", "--kafka-port")
        require_port(self.node.controller_port, "Kafka's controller", "--controller-port")
        libs = require_jars(cache_dir(), self._report)
        self.node.directory.mkdir(parents=True, exist_ok=True)
        properties = self.node.directory / "server.properties"
        properties.write_text(self.node.server_properties(), encoding="utf-8")
        if not self.node.formatted:
            self._format(java.executable, libs, properties)
        argv = self.node.java_command(java.executable, libs, "kafka.Kafka", str(properties))
        return ChildSpec(self.name, argv, self.node.directory / "kafka.out", grace=20.0)

    def is_ready(self) -> bool:
        """Whether the broker lists itself and serves consumer groups."""
        if not port_answers(self.node.port):
            return False
        cluster = look(self._settings)
        return cluster is not None and cluster.brokers == 1 and group_coordinator_answers(self._settings)

    def explain(self, exit_code: int, log: str) -> TaximeterError:
        """See `explain_start`."""
        del exit_code  # 1 for every reason
        return explain_start(log, self.node, free_bytes(self.node.directory))

    def _format(self, java: str, libs: Path, properties: Path) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        program = ("kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", f"--config={properties}")
        done = subprocess.run(  # noqa: S603 - our own command
            self.node.java_command(java, libs, *program),
            capture_output=True,
            text=True,
            timeout=FORMAT_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise explain_start(done.stdout + done.stderr, self.node, free_bytes(self.node.directory))
