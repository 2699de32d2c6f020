"""A TCP proxy of our own, on the loopback address: the way to a server, which a fault can cut, slow down or break.

It runs on one thread with a loop of its own and ends with its `with` block; what it has in hand is lost then, as on a
real way. It is set from any thread by giving it a `Line`; what stands open feels it at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from chaos.kafka_address import Reframe

T = TypeVar("T")
LOOPBACK = "127.0.0.1"
_CHUNK = 65_536
_SLICES_A_SECOND = 20


@dataclass(frozen=True)
class Line:
    """How a line is. The default passes everything on.

    `cut`: what is open is reset, what comes is refused. `half_open`: connections are accepted and what is sent is
    swallowed, with never an answer; those that lost bytes so are reset when the line is mended, as no answer would fit.
    `loses`: the answer to a request that holds these bytes, if it begins with `answering`, is dropped once the server
    gives it, and the connection is reset; from then on the line is as `afterwards`. Delay and rate hold for each
    direction of each connection.
    """

    delay_seconds: float = 0.0
    bytes_per_second: int | None = None
    cut: bool = False
    half_open: bool = False
    loses: bytes | None = None
    answering: bytes = b""
    afterwards: Line | None = None


PASS = Line()
CUT = Line(cut=True)
HALF_OPEN = Line(half_open=True)


class _Connection:
    """One client and, unless the line was half-open when it came, its server."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter | None) -> None:
        self.client = client
        self.server = server
        self.asked = bytearray()
        self.answered = False
        self.deaf = server is None

    def reset(self) -> None:
        for side in (self.client, self.server):
            if side is not None:
                side.transport.abort()

    def note_request(self, data: bytes) -> None:
        if self.answered:
            self.asked.clear()
            self.answered = False
        self.asked += data


class Proxy:
    """A line to `target` on the loopback address. `reframe` makes what rewrites the answers of one connection."""

    def __init__(self, target: int, reframe: Callable[[int], Reframe] | None = None) -> None:
        self.port = 0
        self.lost = 0
        self.taps: list[Callable[[bytes], None]] = []
        self._line = PASS
        self._target = target
        self._reframe = reframe
        self._open: set[_Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy-{target}", daemon=True)

    def start(self) -> None:
        """Listens on a free port, `port`."""
        self._thread.start()
        self._server = self._ask(asyncio.start_server(self._serve, LOOPBACK, 0))
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Resets what is open and ends the thread."""
        self._ask(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def line(self) -> Line:
        """How the line is now."""
        return self._line

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._open)

    def set(self, line: Line) -> None:
        """From now on the line is so; returns when it is."""

        async def become() -> None:
            self._become(line)

        self._ask(become())

    def _ask(self, what: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result()

    async def _close(self) -> None:
        self._server.close()
        self._become(CUT)
        # What was accepted in this very moment comes as a task later.
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await asyncio.sleep(0)

    def _become(self, line: Line) -> None:
        self._line = line
        for connection in list(self._open):
            if line.cut or (connection.deaf and not line.half_open):
                connection.reset()

    async def _serve(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        connection = _Connection(client, None)
        if self._line.cut:
            connection.reset()
            return
        try:
            source: asyncio.StreamReader | None = None
            if not self._line.half_open:
                source, connection.server = await asyncio.open_connection(LOOPBACK, self._target)
                connection.deaf = False
            self._open.add(connection)
            await self._carry(connection, reader, source)
        except* OSError:
            pass  # the server is away, or a side has gone: the reset below tells the other one
        finally:
            self._open.discard(connection)
            connection.reset()

    async def _carry(
        self, connection: _Connection, reader: asyncio.StreamReader, source: asyncio.StreamReader | None
    ) -> None:
        if source is None or connection.server is None:
            while await reader.read(_CHUNK):
                pass
            return
        reframe = self._reframe(self.port) if self._reframe is not None else None
        async with asyncio.TaskGroup() as both:
            both.create_task(self._pump(connection, reader, connection.server, None))
            both.create_task(self._pump(connection, source, connection.client, reframe))

    async def _pump(
        self,
        connection: _Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        reframe: Reframe | None,
    ) -> None:
        """One direction: reading goes on while what was read waits for its time."""
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        deliver = asyncio.ensure_future(self._deliver(connection, waiting, writer))
        try:
            while data := await reader.read(_CHUNK):
                whole = reframe.feed(data) if reframe is not None else data
                if whole:
                    waiting.put_nowait((self._loop.time() + self._line.delay_seconds, whole))
            waiting.put_nowait((self._loop.time() + self._line.delay_seconds, b""))
            await deliver
        finally:
            deliver.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await deliver

    async def _deliver(
        self, connection: _Connection, waiting: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        while True:
            due, data = await waiting.get()
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            connection.deaf = connection.deaf or self._line.half_open
            if connection.deaf and data:
                continue
            if connection.deaf:
                if writer is connection.server:
                    connection.reset()  # the client has given up; that the server has, it must not hear
                return
            if not data:
                writer.write_eof()
                return
            if writer is connection.server:
                connection.note_request(data)
            else:
                connection.answered = True
                if self._loses(connection, data):
                    connection.reset()
                    return
                for tap in self.taps:
                    tap(data)
            try:
                await self._write(writer, data)
            except OSError:
                connection.reset()
                raise

    def _loses(self, connection: _Connection, answer: bytes) -> bool:
        line = self._line
        if line.loses is None or line.loses not in connection.asked or not answer.startswith(line.answering):
            return False
        self.lost += 1
        self._become(line.afterwards or line)
        return True

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        at = 0
        while at < len(data):
            rate = self._line.bytes_per_second
            end = len(data) if rate is None else at + max(rate // _SLICES_A_SECOND, 1)
            writer.write(data[at:end])
            await writer.drain()
            at = end
            if rate is not None:
                await asyncio.sleep(1 / _SLICES_A_SECOND)


@contextmanager
def open_proxy(target: int, reframe: Callable[[int], Reframe] | None = None) -> Iterator[Proxy]:
    """A proxy to the port `target` for the length of a block."""
    proxy = Proxy(target, reframe)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
