"""A small HTTP/1.1 server on the loopback address that answers as a test says: byte for byte, and badly if told so.

Each connection has a thread; all end with the server. Nothing sleeps: what waits, waits for an event of the test's.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

PATIENCE = 20.0
"""Seconds that anything waits for an event before the test is given up."""


@dataclass(frozen=True)
class Answer:
    """What the server says to one request. `pieces` are sent one by one, as chunks of their own where chunked.

    `framing` is length, chunked or close (the end of the connection is the end). `ending` is end, drop (the connection
    breaks off where the answer is not whole) or hang (nothing more comes while the server lives). With `gates`, a piece
    waits for its event.
    """

    pieces: Sequence[bytes] = (b"",)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    framing: str = "length"
    ending: str = "end"
    gates: Sequence[threading.Event | None] = ()
    silent: bool = False
    """The connection breaks off (or hangs) before the head."""

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.pieces)


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int


class Loopback:
    """A context manager. `answers` are given in turn; the last one again and again."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.asked: list[Asked] = []
        self._closing = threading.Event()
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def url(self, path: str = "/") -> str:
        """An address of the server's."""
        return f"http://127.0.0.1:{self.port}{path}"

    def say(self, *answers: Answer) -> None:
        """From now on, these."""
        with self._lock:
            self._answers = list(answers)

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            open_now = list(self._connections)
        for connection in open_now:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def _start(self, work: object, *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)  # type: ignore[arg-type]  # any callable
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._connections.append(connection)
            self._start(self._serve, connection, len(self._connections))

    def _serve(self, connection: socket.socket, number: int) -> None:
        with connection, contextlib.suppress(OSError), connection.makefile("rb") as file:
            while (asked := _read(file, number)) is not None:
                with self._lock:
                    self.asked.append(asked)
                    answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                if not self._tell(connection, asked, answer):
                    return

    def _tell(self, connection: socket.socket, asked: Asked, answer: Answer) -> bool:
        if not answer.silent:
            connection.sendall(_head(answer))
            if asked.method != "HEAD" and answer.status not in (204, 304):
                for place, piece in enumerate(answer.pieces):
                    gate = answer.gates[place] if place < len(answer.gates) else None
                    if gate is not None:
                        assert gate.wait(PATIENCE)
                    if piece:
                        connection.sendall(
                            b"%x\r\n%b\r\n" % (len(piece), piece) if answer.framing == "chunked" else piece
                        )
        if answer.ending == "hang":
            self._closing.wait(PATIENCE)
        if answer.ending != "end" or answer.silent:
            return False
        if answer.framing == "chunked":
            connection.sendall(b"0\r\n\r\n")
        return answer.framing != "close"


def _head(answer: Answer) -> bytes:
    headers = dict(answer.headers)
    if answer.framing == "length" and answer.status not in (204, 304):
        # An answer that breaks off promises more than it gives.
        headers.setdefault("content-length", str(len(answer.body) + (answer.ending != "end")))
    if answer.framing == "chunked":
        headers["transfer-encoding"] = "chunked"
    if answer.framing == "close":
        headers["connection"] = "close"
    lines = [f"HTTP/1.1 {answer.status} Told", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _read(file: object, number: int) -> Asked | None:
    readline, read = file.readline, file.read  # type: ignore[attr-defined]  # a socket's file
    first = readline().decode("latin-1").split()
    if len(first) != 3:
        return None
    headers: dict[str, str] = {}
    while (line := readline().decode("latin-1").strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(readline(), 16):
            body += read(size)
            readline()
        readline()
    else:
        body = read(int(headers.get("content-length", "0")))
    return Asked(first[0], first[1], headers, body, number)
