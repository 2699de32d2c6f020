"""One server process under a warden: started, watched, stopped, and its log read.

The process never outlives the one that made the `Child` object, however that one ends (see `warden`). It sits in a
session of its own, so a Ctrl-C at the terminal does not reach it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LOG_KEPT_BYTES = 8 * 1024 * 1024
WARDEN_MARGIN_SECONDS = 5.0


@dataclass(frozen=True)
class ChildSpec:
    """What to run. `grace` is how many seconds the process gets between SIGTERM and SIGKILL."""

    name: str
    argv: tuple[str, ...]
    log: Path
    grace: float = 10.0
    environment: Mapping[str, str] | None = None


class Child:
    """A running server. Create it with `Child.start`."""

    def __init__(self, spec: ChildSpec, process: subprocess.Popen[bytes]) -> None:
        self.spec = spec
        self._process = process

    @classmethod
    def start(cls, spec: ChildSpec) -> Child:
        """Start the command under a warden; its output is appended to the log file."""
        spec.log.parent.mkdir(parents=True, exist_ok=True)
        if spec.log.exists() and spec.log.stat().st_size > LOG_KEPT_BYTES:
            spec.log.replace(spec.log.with_suffix(spec.log.suffix + ".old"))
        warden = (sys.executable, "-m", "taximeter_infra.stack.warden", str(spec.grace), "--")
        with spec.log.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own command
                [*warden, *spec.argv],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=None if spec.environment is None else {**os.environ, **spec.environment},
                start_new_session=True,
            )
        return cls(spec, process)

    @property
    def exit_code(self) -> int | None:
        """The server's exit code, or None while it runs."""
        return self._process.poll()

    @property
    def server_pid(self) -> int | None:
        """The pid of the server itself (the warden's only child), or None when it is gone or not there yet."""
        warden = self._process.pid
        try:
            pids = Path(f"/proc/{warden}/task/{warden}/children").read_text(encoding="ascii").split()
        except OSError:
            return None
        return int(pids[0]) if pids else None

    def stop(self) -> int:
        """Ask, wait for the grace, kill. Returns the exit code; harmless when it already ended."""
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(self.spec.grace + WARDEN_MARGIN_SECONDS)
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        code = self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        return code

    def tail(self, lines: int = 15) -> str:
        """The last lines of the log, for an error message."""
        return tail(self.spec.log, lines)


def tail(path: Path, lines: int = 15, within: int = 16_384) -> str:
    """The last lines of a text file; empty when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - within))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
