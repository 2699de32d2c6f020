"""The keeper: one daemon thread that looks after what a gate holds, at once when it is stirred, else ten times a
second.

It starts with the first thing to keep and ends with `close`. Nothing that is kept can end it by a mistake.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from contextvars import Context

from taximeter.faults import Faults

Serve = Callable[[float], bool]
"""Does what is due now, without waiting; False: it needs no more looking after."""

_BEAT_SECONDS = 0.1
_REST_SECONDS = 1.0


class Keeper:
    """`keep` what must be served, `stir` what is due at once. Safe across threads."""

    def __init__(self, clock: Callable[[], float], faults: Faults) -> None:
        self._clock, self._faults = clock, faults
        self._kept: dict[Hashable, Serve] = {}
        self._due: deque[Hashable] = deque()
        self._wake = threading.Event()
        self._starting = threading.RLock()
        self._thread: threading.Thread | None = None
        self._over = False

    def keep(self, one: Hashable, serve: Serve) -> None:
        """Look after `one` from now on."""
        self._kept[one] = serve
        if self._thread is None:
            self._start()

    def stir(self, one: Hashable) -> None:
        """Serve `one` soon. Called under locks: it does no more than to wake the thread."""
        self._due.append(one)
        self._wake.set()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None and not self._over:
                # A context of its own: nothing it does belongs to the node in which it happened to start.
                run = Context().run
                self._thread = threading.Thread(target=run, args=(self._run,), name="taximeter-quota", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        around_at = 0.0
        while not self._over:
            self._wake.wait(_BEAT_SECONDS if self._kept else _REST_SECONDS)
            self._wake.clear()
            while self._due:
                self._serve(self._due.popleft())
            now = time.monotonic()
            if now >= around_at:
                around_at = now + _BEAT_SECONDS
                for one in list(self._kept):
                    self._serve(one)

    def _serve(self, one: Hashable) -> None:
        serve = self._kept.get(one)
        try:
            if serve is not None and not self._over and not serve(self._clock()):
                self._kept.pop(one, None)
        except Exception as error:  # noqa: BLE001 - one subject's mistake must not end all others' leases
            self._faults.say("quota.keeper", f"the quota gate goes on after a {type(error).__name__}: {error}")

    def close(self) -> None:
        """End the thread."""
        with self._starting:
            self._over = True
        self._wake.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_REST_SECONDS * 6)
