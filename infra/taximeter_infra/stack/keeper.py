"""Keeps one part of the stack running: starts it, waits until it answers, starts it again when it dies.

All of that happens on one thread of the keeper's own. On stop the thread ends first, then the server is asked to go,
so a stop can never race a restart. If this process is killed, the warden takes the server down.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from taximeter_infra.stack.child import Child
from taximeter_infra.stack.part import Part, PartHealth, State
from taximeter_infra.stack.restarts import RestartPolicy, restart_delay
from taximeter_schemas.errors import Retryable, TaximeterError

BEAT_SECONDS = 0.05


class Keeper:
    """Runs one part. `report` gets a line for people whenever something happens that nobody asked for."""

    def __init__(self, part: Part, policy: RestartPolicy, report: Callable[[str], None]) -> None:
        self.part = part
        self.failure: TaximeterError | None = None
        self._policy = policy
        self._report = report
        self._stopping = threading.Event()
        self._state: State = "starting"
        self._restarts = 0
        self._child: Child | None = None
        self._thread = threading.Thread(target=self._run, name=f"keeper-{part.name}", daemon=True)

    def launch(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    @property
    def settled(self) -> bool:
        """Whether the first start has come to an end, well or not."""
        return self._state != "starting"

    def health(self, product: str, address: str) -> PartHealth:
        """How the part is now; without any I/O to the server."""
        child = self._child
        pid = child.server_pid if child is not None and self._state == "up" else None
        detail = str(self.failure) if self.failure is not None else address
        return PartHealth(self.part.name, product, self._state, detail, pid, self._restarts)

    def stop(self) -> None:
        """End the thread, then the server. Harmless when called twice."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._child is not None:
            self._child.stop()
            self._child = None
        if self._state != "down":
            self._state = "stopped"

    def _run(self) -> None:
        try:
            self._live()
        except Exception as error:  # noqa: BLE001 - the thread's last word: whoever waits for the part must hear it
            self._fail(Retryable(f"{self.part.name} cannot be kept running: {error!r}"))

    def _live(self) -> None:
        deaths: list[float] = []
        while not self._stopping.is_set():
            try:
                reason = self._one_life()
            except TaximeterError as error:
                if self._state == "starting":
                    self._fail(error)
                    return
                reason = str(error)
            if self._stopping.is_set():
                return
            now = time.monotonic()
            deaths.append(now)
            delay = restart_delay(self._policy, deaths, now) if self.part.restarts else None
            if delay is None:
                self._fail(Retryable(f"{self.part.name} died and is not started again: {reason}"))
                return
            self._state = "restarting"
            self._restarts += 1
            self._report(f"{self.part.name} died; starting it again in {delay:.1f} s. {reason}")
            self._stopping.wait(delay)

    def _one_life(self) -> str:
        """Start, wait until ready, watch. Returns why the server ended; raises when it never became ready."""
        spec = self.part.prepare()
        logged = spec.log.stat().st_size if spec.log.exists() else 0
        child = self._child = Child.start(spec)
        deadline = time.monotonic() + self.part.ready_within
        while not self._stopping.is_set() and not self.part.is_ready():
            if child.exit_code is not None:
                raise self.part.explain(child.stop(), _since(spec.log, logged) or child.tail())
            if time.monotonic() > deadline:
                child.stop()
                raise Retryable(
                    f"{self.part.name} did not answer within {self.part.ready_within:.0f} s; its log ({spec.log}) ends"
                    f" with:\n{child.tail()}"
                )
            self._stopping.wait(BEAT_SECONDS)
        self._state = "up"
        while not self._stopping.wait(BEAT_SECONDS):
            if child.exit_code is not None:
                return f"It ended with exit code {child.stop()}; its log ({spec.log}) ends with:\n{child.tail()}"
        return "stopped"

    def _fail(self, error: TaximeterError) -> None:
        self.failure = error
        was, self._state = self._state, "down"
        if was != "starting":
            self._report(str(error))


def _since(log: Path, offset: int) -> str:
    """What one start wrote to the log (its first 64 KiB): older lines would blame it for an older failure."""
    with log.open("rb") as file:
        file.seek(offset)
        return file.read(65_536).decode("utf-8", "replace")
