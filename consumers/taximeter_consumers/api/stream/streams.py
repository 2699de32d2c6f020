"""All streams of a process: who is let in, what is watched for them, and when they end. For one event loop.

Looks run in a few threads of their own, so that neither the loop nor other requests wait for them. A watcher ends by
itself a moment after its last reader. A key that was revoked, or a token that is over, ends its streams within seconds.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from taximeter_consumers.api.problems import RETRY_SECONDS, Problem
from taximeter_consumers.api.stream.admission import Admission
from taximeter_consumers.api.stream.board import Board, Reader
from taximeter_consumers.api.stream.looking import Look, freshness_text, trouble_text
from taximeter_consumers.api.stream.watched import Watched, is_worth_telling, visible
from taximeter_schemas.errors import Retryable, TaximeterError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from taximeter_consumers.api.services import Services
    from taximeter_consumers.api.stream.admission import Door

    Watching = Callable[[Board], Coroutine[None, None, None]]

_THREADS: Final = 6
_FRESHNESS_SECONDS: Final = 2.0
_GUARD_SECONDS: Final = 1.0
_SHUT: Final = "the key or token that opened this stream holds no more"
_log = structlog.get_logger()


class Streams:
    """`open` and `close` each one in turn; `end` ends all."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._admission = Admission(services.settings.streams)
        self._boards: dict[Watched | None, Board] = {}
        self._readers: set[Reader] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pool: ThreadPoolExecutor | None = None
        self._guarding: asyncio.Task[None] | None = None
        self._has_ended = False

    def begin(self) -> None:
        """Lets streams in, also after `end`."""
        self._has_ended = False

    def open(self, watched: Watched, door: Door) -> Reader:
        """A reader for a new stream, which must be given to `close`. Raises too-many-requests and unavailable."""
        if self._has_ended:
            raise Problem("unavailable", "this process is about to end; connect again", headers=_again())
        self._admission.enter(door)
        boards = [self._board(watched, partial(self._watch, watched))]
        if not watched.is_bar:
            boards.append(self._board(None, self._watch_freshness))
        reader = Reader(door, boards)
        self._readers.add(reader)
        self._services.metrics.streams.inc()
        if self._guarding is None or self._guarding.done():
            self._guarding = self._begin(self._guard())
        return reader

    def close(self, reader: Reader) -> None:
        """The stream is over."""
        if reader in self._readers:
            self._readers.discard(reader)
            self._admission.leave(reader.door)
            self._services.metrics.streams.dec()
            reader.leave()

    def end(self) -> None:
        """All streams, at once; those who read are to connect again, elsewhere."""
        self._has_ended = True
        for reader in self._readers:
            reader.end()
        for task in self._tasks:
            task.cancel()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _board(self, watched: Watched | None, watch: Watching) -> Board:
        board = self._boards.get(watched)
        if board is None:
            board = self._boards[watched] = Board()
            task = self._begin(self._remembering(watched, watch, board))
            # One that is cancelled before it begins runs none of its own code.
            task.add_done_callback(lambda _: self._forget(watched, board))
        return board

    async def _remembering(self, watched: Watched | None, watch: Watching, board: Board) -> None:
        try:
            await watch(board)
        finally:
            self._forget(watched, board)

    def _forget(self, watched: Watched | None, board: Board) -> None:
        if self._boards.get(watched) is board:
            del self._boards[watched]

    async def _watch(self, watched: Watched, board: Board) -> None:
        look, loop = Look(self._services, watched), asyncio.get_running_loop()
        # Its first reader comes right after this task is made.
        while board.readers:
            began = loop.time()
            try:
                board.write(await loop.run_in_executor(self._threads(), look))
            except Exception as error:  # noqa: BLE001 - whatever it is, streams go on and say that something is wrong
                _tell(error)
                board.trouble(trouble_text(error))
            took = loop.time() - began
            # A look that takes long leaves ClickHouse as long alone.
            await asyncio.sleep(max(self._services.settings.stream_look_seconds - took, took))

    async def _watch_freshness(self, board: Board) -> None:
        loop = asyncio.get_running_loop()
        told: tuple[object, ...] | None = None
        told_at = 0.0
        while board.readers:
            verdict = await loop.run_in_executor(self._threads(), self._services.readiness.verdict)
            self._services.metrics.saw(verdict)
            now = visible(verdict)
            if is_worth_telling(told, now, loop.time() - told_at):
                told, told_at = now, loop.time()
                board.write({"freshness": freshness_text(verdict)})
            await asyncio.sleep(_FRESHNESS_SECONDS)

    async def _guard(self) -> None:
        loop = asyncio.get_running_loop()
        while self._readers:
            ids = {reader.door.key_id for reader in self._readers if reader.door.key_id}
            shut = await loop.run_in_executor(self._threads(), self._shut, ids)
            now = self._services.now().timestamp()
            for reader in self._readers:
                if reader.door.key_id in shut or (reader.door.until is not None and reader.door.until <= now):
                    reader.end(_SHUT)
            await asyncio.sleep(_GUARD_SECONDS)

    def _shut(self, key_ids: set[str]) -> set[str]:
        """Of some keys those that open nothing any more, or that nobody can vouch for."""
        return {key_id for key_id in key_ids if not holds(self._services, key_id)}

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_THREADS, "stream")
        return self._pool

    def _begin(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a watcher of streams has failed", exc_info=error)


def holds(services: Services, key_id: str) -> bool:
    """Whether a key still opens something. As long as `KeyCache` believes while ClickHouse is away."""
    try:
        key = services.keys.get(key_id)
    except Retryable:
        return False
    return key is not None and key.state(services.now()) == "active"


def _tell(error: Exception) -> None:
    if isinstance(error, TaximeterError):
        _log.warning("streams cannot look", error=str(error))
    else:
        _log.error("streams cannot look", exc_info=error)


def _again() -> dict[str, str]:
    return {"Retry-After": str(RETRY_SECONDS)}
