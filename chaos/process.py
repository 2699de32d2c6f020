"""One process of a world: it never outlives the harness, and is killed by its own pid.

Most are forks of a loaded server (`chaos.forked`); one whose command line matters is started anew under a warden.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chaos.forked import Forked
from taximeter_infra.stack.child import Child, ChildSpec
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.errors import Retryable

PATIENCE_SECONDS = 120.0
KILLED = 128 + signal.SIGKILL
_STOPPED = 128 + signal.SIGTERM
_GRACE_SECONDS = 30.0


@dataclass
class Process:
    """A child and how it is allowed to end: `may_die` once something was armed or done to kill it, `may_fail` where its
    exit code is an answer."""

    name: str
    child: Child | Forked
    may_die: bool = False
    may_fail: bool = False
    told_to_stop: bool = False

    @classmethod
    def start(
        cls, name: str, argv: tuple[str, ...], log: Path, environment: Mapping[str, str], *, forked: bool = True
    ) -> Process:
        """Starts `python -m ...`: forked, or as a command line of its own."""
        spec = ChildSpec(name, argv, log, _GRACE_SECONDS, environment)
        return cls(name, Forked.start(spec) if forked else Child.start(spec))

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.child.exit_code is None

    @property
    def died(self) -> bool:
        """Whether it was killed."""
        return self.child.exit_code == KILLED

    @property
    def failed(self) -> bool:
        """Whether it ended otherwise than it may."""
        code = self.child.exit_code
        # Who is told to stop before it listens is ended by the system; it has not said a word then.
        if self.may_fail or (code == _STOPPED and self.told_to_stop and not self.log()):
            return False
        return code not in ({None, 0, KILLED} if self.may_die else {None, 0})

    def log(self) -> str:
        """What it has said so far."""
        with contextlib.suppress(OSError):
            return self.child.spec.log.read_text(encoding="utf-8", errors="replace")
        return ""

    def says(self, words: str) -> bool:
        """Whether these words stand in its log."""
        return words in self.log()

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the process itself, not to its warden; nothing where it is gone."""
        pid = self._pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """Kill -9, and waits until it is gone."""
        self.may_die = True
        self.signal(signal.SIGKILL)
        self.await_end()

    def stop(self) -> None:
        """SIGTERM, and waits for a clean end; SIGKILL after the grace. One that sleeps is woken for it."""
        self.told_to_stop = True
        if self.running and self.child.server_pid is not None:
            self.signal(signal.SIGCONT)
        self.child.stop()

    def await_end(self) -> None:
        """Waits until it has ended. Raises Retryable when it does not."""
        if not wait_until(lambda: not self.running, PATIENCE_SECONDS):
            raise Retryable(f"{self.name} does not end; look at {self.child.spec.log}")

    def _pid(self) -> int | None:
        # The warden needs a moment to start it.
        wait_until(lambda: self.child.server_pid is not None or not self.running, PATIENCE_SECONDS)
        return self.child.server_pid
