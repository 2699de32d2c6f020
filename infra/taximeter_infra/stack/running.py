"""Finding and stopping the stack that runs on a data directory, from any process of the same user."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path

from taximeter_infra.stack.clickhouse_files import write_private
from taximeter_infra.stack.lock import holder, is_held
from taximeter_infra.stack.plan import StackAddresses
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.errors import Retryable

ADDRESS_FILE = "stack.json"


def write_addresses(addresses: StackAddresses) -> None:
    """Leave word where the stack is, in a file that only its owner can read."""
    text = json.dumps({"pid": os.getpid(), "addresses": addresses.as_json()}, indent=2)
    write_private(addresses.data_dir / ADDRESS_FILE, text)


def remove_addresses(data_dir: Path) -> None:
    """The stack is gone. Harmless when the file is, too."""
    (data_dir / ADDRESS_FILE).unlink(missing_ok=True)


def find_running(data_dir: Path) -> StackAddresses | None:
    """Where the stack on this directory is, or None when none is ready. Word left by a killed one is not believed."""
    pid = holder(data_dir)
    if pid is None:
        return None
    try:
        word = json.loads((data_dir / ADDRESS_FILE).read_text(encoding="utf-8"))
        return StackAddresses.of_json(word["addresses"]) if word["pid"] == pid else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def stop_running(data_dir: Path, timeout: float = 45.0) -> bool:
    """Ask the stack on this directory to stop and wait until it has.

    Returns False when none was running. Raises Retryable when it is still there after `timeout` seconds.
    """
    if not is_held(data_dir):
        return False
    pid = holder(data_dir)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    if not wait_until(lambda: not is_held(data_dir), timeout):
        raise Retryable(
            f"the stack on {data_dir} (pid {pid or 'unknown'}) has not stopped after {timeout:.0f} s; look at its logs"
            " there, or end it with `kill -9` (no acknowledged data are lost)"
        )
    return True
