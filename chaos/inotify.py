"""Waiting for an entry to appear in a directory, told by the kernel: an unfinished part lives for milliseconds."""

from __future__ import annotations

import ctypes
import os
import select
import struct
import time
from pathlib import Path

from chaos.process import PATIENCE_SECONDS
from taximeter_schemas.errors import Retryable

_CREATED = 0x100
_EVENT = struct.Struct("iIII")


def await_entry(directory: Path, prefix: str, seconds: float = PATIENCE_SECONDS) -> str:
    """The name of the first entry made from now on that begins so. Raises Retryable when none is made."""
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_CLOEXEC)
    try:
        if watch < 0 or libc.inotify_add_watch(watch, os.fsencode(directory), _CREATED) < 0:
            raise OSError(ctypes.get_errno(), f"cannot watch {directory}")
        deadline = time.monotonic() + seconds
        while select.select([watch], [], [], max(0.0, deadline - time.monotonic()))[0]:
            for name in _names(os.read(watch, 65_536)):
                if name.startswith(prefix):
                    return name
    finally:
        if watch >= 0:
            os.close(watch)
    raise Retryable(f"nothing called {prefix}... appeared in {directory}")


def _names(events: bytes) -> list[str]:
    names, at = [], 0
    while at < len(events):
        *_, length = _EVENT.unpack_from(events, at)
        at += _EVENT.size
        names.append(os.fsdecode(events[at : at + length].rstrip(b"\0")))
        at += length
    return names
