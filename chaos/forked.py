"""Processes that the fork server starts, with the face of `taximeter_infra.stack.child.Child`.

The server is started with the first of them and serves all of this process; it ends with it, however it ends.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import signal
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from chaos.fork_server import NUMBER_BYTES, Wanted
from taximeter_infra.stack.child import Child, ChildSpec, tail
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.errors import Retryable

_START_SECONDS = 60.0


@dataclass
class Forked:
    """A process that was forked for a spec: `python -m MODULE ...`."""

    spec: ChildSpec
    pid: int
    _connection: socket.socket
    _code: int | None = None

    @classmethod
    def start(cls, spec: ChildSpec) -> Forked:
        """Starts it. Raises Retryable when the fork server is gone."""
        _python, _dash_m, module, *arguments = spec.argv
        wanted = Wanted(module, tuple(arguments), dict(spec.environment or {}), str(spec.log))
        spec.log.parent.mkdir(parents=True, exist_ok=True)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.settimeout(_START_SECONDS)
        try:
            connection.connect(str(_server()))
            connection.sendall(wanted.as_bytes())
            pid = int(connection.recv(NUMBER_BYTES))
        except (OSError, ValueError) as error:
            connection.close()
            raise Retryable("the fork server does not answer") from error
        connection.setblocking(False)
        return cls(spec, pid, connection)

    @property
    def exit_code(self) -> int | None:
        """Its exit code, 128 plus the signal that ended it, or None while it runs."""
        if self._code is None:
            with contextlib.suppress(BlockingIOError):
                heard = self._connection.recv(NUMBER_BYTES)
                # Nothing: the server is gone, and so the kernel has killed its children.
                self._code = int(heard) if heard else 128 + signal.SIGKILL
                self._connection.close()
        return self._code

    @property
    def server_pid(self) -> int | None:
        """Its pid, None when it is gone."""
        return self.pid if self.exit_code is None else None

    def stop(self) -> int:
        """SIGTERM, the grace, SIGKILL. Returns the exit code; harmless when it already ended."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.exit_code is not None:
                break
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
            wait_until(lambda: self.exit_code is not None, self.spec.grace)
        return self.exit_code or 0

    def tail(self, lines: int = 15) -> str:
        """The last lines of the log, for an error message."""
        return tail(self.spec.log, lines)


@functools.cache
def _server() -> Path:
    """The socket of this process's fork server."""
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    path = folder / "socket"
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    argv = (sys.executable, "-m", "chaos.fork_server", str(path))
    child = Child.start(ChildSpec("fork server", argv, folder / "log", environment=environment))
    atexit.register(child.stop)
    if not wait_until(lambda: path.exists() or child.exit_code is not None, _START_SECONDS) or not path.exists():
        raise Retryable(f"the fork server did not start:\n{child.tail()}")
    return path
