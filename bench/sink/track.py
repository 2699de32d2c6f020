"""CPU time of processes over time, read from /proc by a thread, so that it can be told for any stretch afterwards."""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from taximeter_schemas.errors import Retryable

_BEAT_SECONDS = 0.02
_LAUNCHER = b"taximeter_infra.stack.clickhouse_launcher"
Look = tuple[float, float]


def cpu_at(looks: Sequence[Look], when: float) -> float:
    """CPU seconds at an instant, straight between the two looks around it; the nearest look outside of them.

    Raises ValueError without looks.
    """
    if not looks:
        raise ValueError("nobody has looked")
    place = bisect_left(looks, (when, 0.0))
    if place == 0:
        return looks[0][1]
    if place == len(looks):
        return looks[-1][1]
    (before, low), (after, high) = looks[place - 1], looks[place]
    return low + (high - low) * (when - before) / (after - before)


def cpu_seconds(stat: str, ticks_per_second: int) -> float:
    """User and system seconds from the text of /proc/PID/stat. Raises IndexError for a text that is cut off."""
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / ticks_per_second


def clickhouse_pid(data_dir: Path) -> int:
    """The embedded server of the stack in that directory. Raises Retryable when there is none."""
    wanted = [_LAUNCHER, str(data_dir / "clickhouse").encode()]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            argv = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if argv[2:4] == wanted:
            return int(folder.name)
    raise Retryable("the embedded ClickHouse of this stack is not running")


@dataclass
class Track:
    """Looks at processes until it ends. Names to functions that give the pid, or None when it is not there."""

    pids: Mapping[str, Callable[[], int | None]]
    looks: dict[str, list[Look]] = field(default_factory=dict)

    def between(self, name: str, begin: float, end: float) -> float:
        """CPU seconds of a process from one instant to another, Unix seconds; 0 for one that was never seen."""
        looks = self.looks.get(name)
        return cpu_at(looks, end) - cpu_at(looks, begin) if looks else 0.0

    def look(self) -> None:
        """One look at each."""
        for name, find in self.pids.items():
            pid = find()
            if pid is None:
                continue
            try:
                stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
                used = cpu_seconds(stat, os.sysconf("SC_CLK_TCK"))
            except (OSError, IndexError):
                continue
            looks = self.looks.setdefault(name, [])
            # A process that has just been reaped shows nothing any more.
            if not looks or used >= looks[-1][1]:
                looks.append((time.time(), used))


@contextmanager
def tracking(pids: Mapping[str, Callable[[], int | None]]) -> Iterator[Track]:
    """Looks every 20 ms for as long as the block lasts."""
    track, done = Track(pids), threading.Event()

    def run() -> None:
        while not done.wait(_BEAT_SECONDS):
            track.look()

    track.look()
    thread = threading.Thread(target=run, name="track", daemon=True)
    thread.start()
    try:
        yield track
    finally:
        done.set()
        thread.join()
        track.look()
