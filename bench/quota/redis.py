"""What one usually writes instead: read a counter in Redis, compare, increment. A server of its own on 127.0.0.1.

The client is a few lines over a socket: commands go out as arrays of bulk strings, answers here are numbers and texts
of one line (the RESP protocol).
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from taximeter_infra.stack.child import Child, ChildSpec
from taximeter_infra.stack.room import LOOPBACK, free_ports, port_answers
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.errors import Retryable

PROGRAM = "redis-server"
MISSING = f"{PROGRAM} is not installed (apt-get install {PROGRAM})"


def installed() -> bool:
    """Whether there is one on this machine."""
    return shutil.which(PROGRAM) is not None


def version() -> str:
    """As it states it."""
    said = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True, timeout=10).stdout
    return next((word.removeprefix("v=") for word in said.split() if word.startswith("v=")), "unknown")


class Redis:
    """One connection, for one thread."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection((LOOPBACK, port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answers = self._socket.makefile("rb")

    def ask(self, *words: str) -> str:
        """The answer as text; empty for nil."""
        parts = (f"${len(word)}\r\n{word}\r\n" for word in words)
        self._socket.sendall(f"*{len(words)}\r\n{''.join(parts)}".encode())
        first = self._answers.readline().decode().strip()
        if first.startswith("$"):
            return "" if first == "$-1" else self._answers.readline().decode().strip()
        if first.startswith("-"):
            raise RuntimeError(first)
        return first[1:]

    def spend(self, key: str, amount: int, limit: int) -> bool:
        """Check, then increment: whether it was allowed."""
        if int(self.ask("GET", key) or 0) + amount > limit:
            return False
        self.ask("INCRBY", key, str(amount))
        return True

    def close(self) -> None:
        """Ends the connection."""
        self._answers.close()
        self._socket.close()


@contextmanager
def serve(folder: Path) -> Iterator[int]:
    """The port of a server that keeps nothing and ends with the block."""
    (port,) = free_ports(1)
    argv = (PROGRAM, "--bind", LOOPBACK, "--port", str(port), "--save", "", "--appendonly", "no", "--daemonize", "no")
    child = Child.start(ChildSpec("redis", argv, folder / "redis.log"))
    try:
        if not wait_until(lambda: port_answers(port), 20):
            raise Retryable(f"Redis does not answer:\n{child.tail()}")
        yield port
    finally:
        child.stop()


def spends(redis: Redis, count: int) -> list[float]:
    """Seconds of each check-then-increment."""
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        redis.spend("wide", 1, 10**15)
        taken.append(time.perf_counter() - began)
    return taken


def overshoot(port: int, key: str, callers: int, limit: int, amount: int) -> int:
    """By how much so many callers at once overdraw a limit."""
    gate = threading.Barrier(callers)

    def spend() -> None:
        with closing(Redis(port)) as redis:
            gate.wait()
            while redis.spend(key, amount, limit):
                pass

    threads = [threading.Thread(target=spend) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with closing(Redis(port)) as redis:
        return max(0, int(redis.ask("GET", key)) - limit)
