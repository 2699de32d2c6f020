"""Holding: the emissions of a run that are to flow when it ends, not while it goes on.

They wait in this process: a crash loses them, as it loses an open node. Beyond the bound the rest flows at once. What
is held is handed over in one go, so the bound must leave the emitter room. A run that is thrown away hands over what it
holds. A forked child does not send what its parent holds.
"""

from __future__ import annotations

import threading
from contextlib import suppress

from taximeter import process
from taximeter.emission import Emission, Outlet
from taximeter.faults import Faults

MOST = 10_000


class Holding:
    """An outlet that keeps what it is offered until `release`. Safe across threads."""

    def __init__(self, outlet: Outlet, most: int = MOST) -> None:
        self._outlet = outlet
        self._most = most
        self._epoch = process.epoch()
        self._lock = threading.RLock()
        self._held: list[Emission] | None = []

    @property
    def faults(self) -> Faults:
        """Where hooks note what went wrong."""
        return self._outlet.faults

    def offer(self, emission: Emission) -> bool:
        """Keep the emission, or pass it on once the run has ended or too much is kept."""
        # The epoch is compared first: in a forked child, the lock may be held by a thread that is not there.
        if self._epoch == process.epoch():
            with self._lock:
                if self._held is not None and len(self._held) < self._most:
                    self._held.append(emission)
                    return True
        return self._outlet.offer(emission)

    def release(self) -> None:
        """Pass on what is kept, in its order. What comes later is passed on at once."""
        if self._epoch != process.epoch():
            return
        with self._lock:
            held, self._held = self._held or [], None
        for emission in held:
            self._outlet.offer(emission)

    def __del__(self) -> None:
        # Its run was never entered, or is part of a task that was dropped half-way.
        with suppress(Exception):
            self.release()
