"""What a running child has used so far, read from /proc; the last look before its end stands for the whole."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from taximeter_infra.stack.child import Child

_SETTLED_SECONDS = 0.5
_SETTLED_SHARE = 0.1
_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True)
class Use:
    """CPU seconds (user and system) and the peak of resident memory in bytes."""

    cpu_seconds: float
    peak_bytes: int


def parse_use(stat: str, status: str, ticks_per_second: int) -> Use | None:
    """From the text of /proc/PID/stat and /proc/PID/status; None of a process that has ended and is not reaped."""
    # The name, in parentheses, may hold anything; user and system time are the 14th and 15th field.
    fields = stat.rpartition(")")[2].split()
    peak = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")), None)
    if len(fields) < 13 or peak is None:
        return None
    return Use((int(fields[11]) + int(fields[12])) / ticks_per_second, int(peak) * 1024)


class Watch:
    """Looks at one child, as often as it is told to."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self.use = Use(0.0, 0)

    def look(self) -> Use:
        """What the child has used; after its end what the last look saw."""
        pid = self._child.server_pid
        if pid is not None:
            folder = Path(f"/proc/{pid}")
            try:
                stat, status = ((folder / name).read_text(encoding="utf-8") for name in ("stat", "status"))
            except OSError:
                return self.use
            self.use = parse_use(stat, status, os.sysconf("SC_CLK_TCK")) or self.use
        return self.use


def await_settled(child: Child) -> None:
    """Waits until a service has started and hardly uses the CPU. Raises Retryable if it ends or never rests."""
    watch = Watch(child)

    def settled() -> bool:
        if child.exit_code is not None:
            raise Retryable(f"{child.spec.name} ended with code {child.exit_code}:\n{child.tail()}")
        before = watch.look().cpu_seconds
        time.sleep(_SETTLED_SECONDS)
        return before > 0 and watch.look().cpu_seconds - before < _SETTLED_SHARE * _SETTLED_SECONDS

    if not wait_until(settled, _PATIENCE_SECONDS):
        raise Retryable(f"{child.spec.name} does not come to rest; look at {child.spec.log}")
