"""Ports and disk: whether there is room for the stack, and the message when there is not."""

from __future__ import annotations

import contextlib
import errno
import shutil
import socket
from pathlib import Path

from taximeter_schemas.errors import Misconfigured

LOOPBACK = "127.0.0.1"
DISK_NEEDED_BYTES = 1024**3


def free_ports(count: int) -> tuple[int, ...]:
    """Ports that nobody listens on now, all different. Another process may take one before we do."""
    with contextlib.ExitStack() as held:
        ports = []
        for _ in range(count):
            probe = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            probe.bind((LOOPBACK, 0))
            ports.append(probe.getsockname()[1])
        return tuple(ports)


def port_is_free(port: int) -> bool:
    """Whether we could listen on the port of the loopback address now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True


def port_answers(port: int) -> bool:
    """Whether somebody accepts connections on the port of the loopback address."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False


def port_taken(port: int, purpose: str, option: str) -> Misconfigured:
    """The error for a port that another process holds."""
    return Misconfigured(
        f"port {port}, wanted for {purpose}, is taken by another process",
        mend=f"stop that process (`ss -ltnp 'sport = :{port}'` names it), or choose another port with"
        f" {option} PORT (0 picks a free one)",
    )


def require_port(port: int, purpose: str, option: str) -> None:
    """Raise Misconfigured unless the port is free."""
    if not port_is_free(port):
        raise port_taken(port, purpose, option)


def free_bytes(path: Path) -> int:
    """Free bytes of the file system that holds the path, or will hold it."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def require_disk(path: Path, needed: int = DISK_NEEDED_BYTES) -> None:
    """Raise Misconfigured when the file system has less free space than the stack needs to start."""
    free = free_bytes(path)
    if free < needed:
        raise disk_short(path, free, needed)


def disk_short(path: Path, free: int, needed: int = DISK_NEEDED_BYTES) -> Misconfigured:
    """The error for a disk that is full or nearly so."""
    return Misconfigured(
        f"the disk under {path} has {free / 1024**2:.0f} MiB free; the local stack wants {needed / 1024**2:.0f} MiB",
        mend="free some space there, or choose another place with --data-dir or TAXIMETER_DATA_DIR",
    )
