"""Looking at processes in tests: the whole family of one, and whether any of it is left."""

from __future__ import annotations

from pathlib import Path

from taximeter_infra.stack.waiting import wait_until


def parents() -> dict[int, int]:
    """Every living process and its parent; zombies do not count."""
    family = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            family[int(entry.name)] = int(parent)
    return family


def descendants(pid: int) -> set[int]:
    """Children, their children, and so on."""
    known = parents()
    found: set[int] = set()
    fresh = {pid}
    while fresh:
        fresh = {child for child, parent in known.items() if parent in fresh} - found
        found |= fresh
    return found


def all_gone(pids: set[int], timeout: float = 30.0) -> bool:
    """Whether none of these lives any more, within the timeout."""
    return wait_until(lambda: not pids & parents().keys(), timeout)
