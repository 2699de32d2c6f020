"""Runs several parts at once: starts them in parallel, stops them in reverse order, says how they are.

If one start fails, every part is stopped and the first failure is raised. If this process dies without a stop, the
wardens take the servers down.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from taximeter_infra.stack.keeper import Keeper
from taximeter_infra.stack.part import Part
from taximeter_infra.stack.restarts import RestartPolicy

BEAT_SECONDS = 0.02


class Supervisor:
    """Keeps the parts running until `stop`."""

    def __init__(self, report: Callable[[str], None], policy: RestartPolicy | None = None) -> None:
        self._report = report
        self._policy = policy or RestartPolicy()
        self._stop_lock = threading.Lock()
        self.keepers: list[Keeper] = []

    def start(self, parts: Sequence[Part]) -> None:
        """Start all parts and wait until each answers. Raises what the first failing part says, with all stopped."""
        try:
            for part in parts:
                keeper = Keeper(part, self._policy, self._report)
                self.keepers.append(keeper)
                keeper.launch()
            waiting = list(self.keepers)
            while waiting:
                waiting = [keeper for keeper in waiting if not self._has_come_up(keeper)]
                time.sleep(BEAT_SECONDS)
        except BaseException:
            self.stop()
            raise

    def _has_come_up(self, keeper: Keeper) -> bool:
        if keeper.settled and keeper.failure is not None:
            raise keeper.failure
        if keeper.settled:
            self._report(f"{keeper.part.name} answers")
        return keeper.settled

    def stop(self) -> None:
        """Stop all parts, the last started first. Harmless when called twice, and from another thread."""
        with self._stop_lock:
            for keeper in reversed(self.keepers):
                keeper.stop()
