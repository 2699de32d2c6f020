"""What the processes below one process use now, read from /proc. For the launcher: standard library only.

A process that ends while it is read is left out. Everything here is Linux's.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")

# Places in /proc/PID/stat after the name, which may itself contain spaces and brackets.
_PARENT, _CPU, _RSS = 1, slice(11, 15), 21


class Use(NamedTuple):
    """Of living processes together. Resident memory counts a page once for each process that has it."""

    processes: int
    cpu_us: int
    rss_bytes: int


def descendants(root: int, enough: int) -> list[int]:
    """The living processes below `root`, nearest first. The search ends once more than `enough` are found."""
    found = [root]
    for pid in found:
        found += _children(pid)
        if len(found) > enough + 1:
            break
    return found[1:]


def kill_below(root: int) -> None:
    """Send SIGKILL to every process below `root`, each as soon as it is found, so that few can fork meanwhile."""
    found = [root]
    for pid in found:
        children = _children(pid)
        for child in children:
            # The kernel kills a group at once. Most have none of their own.
            for kill in (os.killpg, os.kill):
                with suppress(ProcessLookupError, PermissionError):
                    kill(child, signal.SIGKILL)
        found += children


def of_user() -> int:
    """How many threads this process's user has on this machine, as far as /proc shows them."""
    user, threads = os.getuid(), 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                threads += len(list((entry / "task").iterdir())) if entry.stat().st_uid == user else 0
    return threads


def use_of(pids: list[int]) -> Use:
    """The sums over `pids`. CPU time includes that of their own children that have ended and were waited for."""
    processes = cpu_us = rss = 0
    for pid in pids:
        fields = _stat(pid)
        if fields:
            processes += 1
            cpu_us += sum(map(int, fields[_CPU])) * _TICK_US
            rss += int(fields[_RSS]) * _PAGE
    return Use(processes, cpu_us, rss)


def exact_memory(pids: list[int]) -> int:
    """Resident bytes, with a page that several processes share counted once in all. Slower than `use_of`."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
            total += next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
        except OSError:
            total += use_of([pid]).rss_bytes
    return total


def peak_memory(pid: int) -> int:
    """The most bytes that a living process ever held; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("utf-8", "replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def kills_by_kernel() -> int:
    """How many processes of this machine the kernel has killed for want of memory; -1 if it does not say."""
    try:
        lines = Path("/proc/vmstat").read_text("ascii").splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), -1)
    except OSError:
        return -1


def _children(pid: int) -> list[int]:
    if not _LISTED:
        return _scan(pid)
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []
    children: list[int] = []
    for thread in threads:
        with suppress(OSError):  # the thread has just ended; its children are another one's now
            children += map(int, (thread / "children").read_text("ascii").split())
    return children


def _scan(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        fields = _stat(int(entry.name)) if entry.name.isdigit() else []
        if fields and int(fields[_PARENT]) == parent:
            found.append(int(entry.name))
    return found


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return []


_LISTED = Path(f"/proc/self/task/{os.getpid()}/children").exists()
