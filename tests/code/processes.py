"""Which processes are still there. A process is known by an argument that nobody else has."""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path


def mark() -> str:
    """A number of seconds for `sleep` that tells this test's processes from all others."""
    return f"{90_000 + secrets.randbelow(9_999)}.{secrets.randbelow(10**9):09d}"


def with_argument(argument: str) -> list[int]:
    """The living processes with this argument; zombies have none."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if argument.encode() in arguments:
                found.append(int(entry.name))
    return found


def children_of_this_process() -> list[int]:
    """Our own children, zombies included."""
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # the thread has just ended
            found += map(int, (task / "children").read_text().split())
    return found
