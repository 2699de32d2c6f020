"""The servers of a run that hurts them: killed, stopped and waited for, by the pid that the stack says.

The stack starts again what was killed, on the same ports and the same data.
"""

from __future__ import annotations

import os
import signal
import time
from random import Random
from typing import Final

from chaos.process import PATIENCE_SECONDS
from taximeter_infra.stack.local_stack import LocalStack
from taximeter_infra.stack.part import PartHealth
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.errors import Retryable

BROKER: Final = "kafka"
CLICKHOUSE: Final = "clickhouse"
_SLICE_SECONDS = 0.1


class OwnServers:
    """What a fault may do to the servers."""

    def __init__(self, stack: LocalStack) -> None:
        self._stack = stack

    def pid(self, name: str) -> int:
        """The server's process. Raises Retryable where it is not up."""
        health = self._health(name)
        if health.pid is None:
            raise Retryable(f"{name} is {health.state}, so nothing can be done to it")
        return health.pid

    def kill(self, name: str) -> None:
        """Kill -9, and returns when it answers again."""
        restarts = self._health(name).restarts
        self.kill_at_once(self.pid(name))
        self.await_return(name, restarts)

    def restart(self, name: str) -> None:
        """Asks the server to end, and returns when it answers again."""
        restarts = self._health(name).restarts
        self.signal(name, signal.SIGTERM)
        self.await_return(name, restarts)

    def kill_at_once(self, pid: int) -> None:
        """Kill -9 of a server whose pid was asked before, where not even that may take time."""
        os.kill(pid, signal.SIGKILL)

    def await_return(self, name: str, restarts: int) -> None:
        """Waits until the server is up for one more time than `restarts`. Raises Retryable when it is not."""

        def back() -> bool:
            health = self._health(name)
            return health.restarts > restarts and health.state in {"up", "down"}

        if not wait_until(back, PATIENCE_SECONDS) or self._health(name).state == "down":
            raise Retryable(f"{name} does not come back: {self._health(name).detail}")

    def restarts(self, name: str) -> int:
        """How often the server was started again."""
        return self._health(name).restarts

    def signal(self, name: str, number: signal.Signals) -> None:
        """Sends a signal."""
        os.kill(self.pid(name), number)

    def slow_down(self, name: str, seconds: float, rng: Random, share: float = 0.1) -> None:
        """Lets the server run for that share of the time only."""
        pid, end = self.pid(name), time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                os.kill(pid, signal.SIGSTOP)
                time.sleep(_SLICE_SECONDS * (1 - share) * rng.uniform(0.5, 1.5))
                os.kill(pid, signal.SIGCONT)
                time.sleep(_SLICE_SECONDS * share)
        finally:
            os.kill(pid, signal.SIGCONT)

    def _health(self, name: str) -> PartHealth:
        return next(health for health in self._stack.poll() if health.name == name)
