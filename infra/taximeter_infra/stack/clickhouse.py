"""The embedded ClickHouse as a part of the stack: its directory, its start, its readiness, its errors.

The data directory holds `clickhouse/`: `data/` (the tables), the files of `clickhouse_files`, and `password` (0600).
Readiness is a query by the control user, whose password only this start knows: on a port clash another server would
answer `/ping` just as well. A killed server is started again on the same ports and loses no acknowledged row.
"""

from __future__ import annotations

import http.client
import importlib.metadata
import json
import secrets
import sys
import uuid
from pathlib import Path

from taximeter_infra.stack.child import ChildSpec
from taximeter_infra.stack.clickhouse_files import Boot, secret_of, system_database_sql, write_private
from taximeter_infra.stack.clickhouse_http import Answer, Endpoint
from taximeter_infra.stack.room import LOOPBACK, disk_short, free_bytes, require_disk, require_port
from taximeter_schemas.errors import Misconfigured, Retryable, TaximeterError

WHEEL = "chdb-core"
WHEEL_VERSION = "26.9.0"
QUOTA_EXCEEDED = 201


def wheel_problem(installed: str | None) -> Misconfigured | None:
    """What is wrong with the installed version of the wheel (None: not installed)."""
    if installed == WHEEL_VERSION:
        return None
    if installed is None:
        problem = f"the embedded ClickHouse ({WHEEL}) is not installed"
    else:
        problem = f"{WHEEL} {installed} is installed; the local stack uses private API of exactly {WHEEL_VERSION}"
    return Misconfigured(problem, mend="pip install 'taximeter[local]', or use your own server with --clickhouse URL")


def installed_wheel() -> str | None:
    """The version of the installed wheel, or None."""
    try:
        return importlib.metadata.version(WHEEL)
    except importlib.metadata.PackageNotFoundError:
        return None


def explain_start(log: str, directory: Path, http_port: int, tcp_port: int, free: int) -> TaximeterError:
    """Why the server did not come up, from what it wrote. The first line of the table that fits decides."""
    ports = f"{http_port} (HTTP) or {tcp_port} (native)"
    table = (
        (
            ("Cannot lock file", "Another server instance", "CANNOT_OPEN_FILE: status"),
            Misconfigured(
                f"another ClickHouse server is using {directory}",
                mend="stop it with `taximeter down`, or choose another directory with --data-dir",
            ),
        ),
        (
            ("Address already in use", "NETWORK_ERROR", "EADDRINUSE"),
            Misconfigured(
                f"port {ports} was taken by another process while ClickHouse started",
                mend="start again, or choose other ports with --clickhouse-http-port and --clickhouse-tcp-port",
            ),
        ),
        (("No space left", "NOT_ENOUGH_SPACE"), disk_short(directory, free)),
        (
            ("Permission denied",),
            Misconfigured(f"ClickHouse may not write to {directory}", mend="mend its owner, or choose --data-dir"),
        ),
    )
    for needles, error in table:
        if any(needle in log for needle in needles):
            return error
    ending = "\n".join(log.splitlines()[-15:])
    return Retryable(f"ClickHouse did not come up; it wrote:\n{ending}")


class ClickHousePart:
    """The embedded server. `address` and `password` are valid as soon as `prepare` has run once."""

    name = "clickhouse"
    restarts = True
    ready_within = 60.0

    def __init__(self, data_dir: Path, http_port: int, tcp_port: int) -> None:
        self.directory = data_dir / "clickhouse"
        self.http_port = http_port
        self.tcp_port = tcp_port
        self.password = ""
        self._boot: Boot | None = None

    def prepare(self) -> ChildSpec:
        """Write this start's files. Raises Misconfigured for a missing wheel, a taken port or a full disk."""
        problem = wheel_problem(installed_wheel())
        if problem is not None:
            raise problem
        require_disk(self.directory)
        require_port(self.http_port, "ClickHouse over HTTP", "--clickhouse-http-port")
        require_port(self.tcp_port, "ClickHouse's native protocol", "--clickhouse-tcp-port")
        metadata = self.directory / "data" / "metadata"
        metadata.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700)
        if not (metadata / "system.sql").exists():
            write_private(metadata / "system.sql", system_database_sql(uuid.uuid4()))
        self.password = secret_of(self.directory / "password")
        self._boot = Boot(self.http_port, self.tcp_port, self.password, secrets.token_urlsafe(24))
        write_private(self.directory / "config.xml", self._boot.config_xml())
        write_private(self.directory / "users.xml", self._boot.users_xml())
        write_private(self.directory / "launcher.json", json.dumps(self._boot.launcher()))
        argv = (sys.executable, "-m", "taximeter_infra.stack.clickhouse_launcher", str(self.directory))
        return ChildSpec(self.name, argv, self.directory / "clickhouse.log", grace=15.0)

    def is_ready(self) -> bool:
        """Whether the server of this very start answers, and the boot user's quota is spent."""
        if self._boot is None:
            return False
        control = self._ask(self._boot.control_user, self._boot.control_password, "SELECT 1")
        return control is not None and control.ok and self._boot_user_is_spent()

    def explain(self, exit_code: int, log: str) -> TaximeterError:
        """See `explain_start`."""
        del exit_code  # 72 for every reason; the words tell them apart
        return explain_start(log, self.directory, self.http_port, self.tcp_port, free_bytes(self.directory))

    def version(self) -> str:
        """The engine's version. Raises Retryable when it does not answer."""
        answer = self._ask("taximeter", self.password, "SELECT version()")
        if answer is None or not answer.ok:
            raise Retryable("the embedded ClickHouse does not answer")
        return answer.text

    def _boot_user_is_spent(self) -> bool:
        """A constant SELECT would not count against a quota; this statement does, and would change nothing."""
        answer = self._ask("default", "", "SYSTEM START LISTEN HTTP")
        return answer is not None and answer.code == QUOTA_EXCEEDED

    def _ask(self, user: str, password: str, sql: str) -> Answer | None:
        try:
            return Endpoint(LOOPBACK, self.http_port, user, password).ask(sql)
        except (OSError, http.client.HTTPException):
            return None
