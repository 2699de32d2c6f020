"""One stack per data directory: a file lock that the kernel drops when its holder dies.

A stale lock therefore cannot exist. The file names the holder's pid for people and for `taximeter down`; it is believed
only while the lock is held and that process has the file open.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.errors import Misconfigured

LOCK_FILE = "stack.lock"
PATIENCE_SECONDS = 0.5
"""A look at the lock holds it for a moment; whoever wants to have it waits this long."""


@contextmanager
def stack_lock(data_dir: Path) -> Iterator[None]:
    """Hold the directory's lock. Raises Misconfigured when another holds it, or the directory is not writable."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = (data_dir / LOCK_FILE).open("a+", encoding="ascii")
    except OSError as error:
        raise Misconfigured(
            f"the data directory {data_dir} cannot be used: {error.strerror}",
            mend="mend its owner or its place, or choose another with --data-dir or TAXIMETER_DATA_DIR",
        ) from error
    with file:
        if not wait_until(lambda: _try_lock(file, fcntl.LOCK_EX), PATIENCE_SECONDS):
            raise Misconfigured(
                f"a stack is already running on {data_dir} (pid {holder(data_dir) or 'unknown'})",
                mend="use it (`taximeter status`), stop it with `taximeter down`, or choose another --data-dir",
            )
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def is_held(data_dir: Path) -> bool:
    """Whether a living process holds the lock of this directory."""
    try:
        with (data_dir / LOCK_FILE).open("r", encoding="ascii") as file:
            return not _try_lock(file, fcntl.LOCK_SH)
    except OSError:
        return False


def holder(data_dir: Path) -> int | None:
    """The pid of the process that holds the lock, or None when nobody does or it is not visible from here."""
    path = data_dir / LOCK_FILE
    if not is_held(data_dir):
        return None
    try:
        pid = int(path.read_text(encoding="ascii"))
        ours = path.stat()
        opened = [entry.stat() for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.exists()]
    except (OSError, ValueError):
        return None
    return pid if any(os.path.samestat(ours, each) for each in opened) else None


def _try_lock(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
