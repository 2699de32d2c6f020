"""`python -m chaos.fork_server SOCKET`: starts the processes of the harness by forking, in a tenth of the time.

It has loaded what the commands of `taximeter` and the executor load, and each asked-for process is a fork of it with
an environment, a log and a session of its own: it is killed, stopped and waited for like any other. Only its command
line is the server's (`chaos.process` starts one anew where that matters).

What holds: no thread runs here, so a fork is sound. When this process ends, however it ends, the kernel kills
its children; when the harness ends, the warden ends this process.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

PR_SET_PDEATHSIG: Final = 1
_LOADED: Final = (
    "chaos.executor",
    "chaos.metered",
    "chaos.quota.gates",
    "chaos.quota.reservers",
    "chaos.world",
    "taximeter_infra.cli.app",
    "taximeter_infra.logs",
    "taximeter_infra.signals",
    "taximeter_consumers.sink.service",
    "taximeter_consumers.rollups",
    "taximeter_consumers.pricing",
    "taximeter_consumers.audit",
    "taximeter_consumers.billing",
    "taximeter_consumers.conservation",
    "taximeter_consumers.reprice",
    "taximeter_consumers.quota.service.service",
    "taximeter_infra.simulate.generator",
    "confluent_kafka.admin",
)
_MESSAGE_BYTES: Final = 65_536
NUMBER_BYTES: Final = 32
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


@dataclass(frozen=True)
class Wanted:
    """A process to start: a module with its arguments, the changes to the environment, and where it writes."""

    module: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    log: str

    def as_bytes(self) -> bytes:
        """One message."""
        return json.dumps(vars(self)).encode()

    @classmethod
    def of_bytes(cls, message: bytes) -> Self:
        """The inverse of `as_bytes`."""
        said = json.loads(message)
        return cls(**{**said, "arguments": tuple(said["arguments"])})


def serve(listener: socket.socket) -> Wanted | None:
    """Answers until a stop is asked for, then returns None; in each child returns what that is to run.

    A connection stands for a process: it brings what is wanted, and gets the pid, and the exit code at the end.
    """
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    before = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    running: dict[int, socket.socket] = {}
    while True:
        readable, _, _ = select.select([listener.fileno(), wake_read], [], [])
        asked = set(os.read(wake_read, 64)) if wake_read in readable else set()
        if asked & {signal.SIGTERM, signal.SIGINT}:
            return None
        _bury(running)
        if listener.fileno() not in readable:
            continue
        connection, _ = listener.accept()
        wanted = Wanted.of_bytes(connection.recv(_MESSAGE_BYTES))
        server = os.getpid()
        # A signal to a child that still has the server's handlers would be lost, and wake the server.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            for end in (wake_read, wake_write):
                os.close(end)
            for other in (listener, connection, *running.values()):
                other.close()
            _become(wanted, server)
            return wanted
        running[pid] = connection
        _tell(connection, pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _bury(running: dict[int, socket.socket]) -> None:
    """Tells of each child that has ended."""
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with running.pop(pid) as connection:
            code = os.waitstatus_to_exitcode(status)
            _tell(connection, code if code >= 0 else 128 - code)


def _tell(connection: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(b"%d" % number)


def _become(wanted: Wanted, server: int) -> None:
    """A session, an environment and a log of its own, and an end with the server's."""
    os.setsid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:
        os._exit(1)
    log = os.open(wanted.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for number in (1, 2):
        os.dup2(log, number)
    os.close(log)
    os.environ.update(wanted.environment)


def run(wanted: Wanted) -> None:
    """Runs the module as `python -m` would, in a fork."""
    from taximeter_consumers import failpoints

    # It is read when a process starts, and this one started before.
    importlib.reload(failpoints)
    sys.argv = [wanted.module, *wanted.arguments]
    runpy.run_module(wanted.module, run_name="__main__", alter_sys=True)


def main(path: Path) -> int:
    """Exit 0 when a stop was asked for; in a child as its module ends. `path` is in a directory of its own."""
    for name in _LOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    # Messages keep their boundaries, and the name appears once connections are taken.
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(f"{path}.new")
    listener.listen(64)
    Path(f"{path}.new").rename(path)
    wanted = serve(listener)
    if wanted is not None:
        run(wanted)
    else:
        shutil.rmtree(path.parent, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
