"""The emitter: what hooks hand over is sent in the background, by one daemon thread that starts with the first event.

With a disk spool the thread starts at once, because there may be something to drain.

Fork: the child gets an empty emitter of its own and starts its own thread; what the parent held stays the parent's.
Exit: `close` waits a bounded time for the last events, then counts what is left as lost and says so once; every emitter
that is still open is closed at the interpreter's exit, and at the end of a `multiprocessing` child, also when nobody
holds its meter any more. With a spool, what is left at the end goes there. A process that ends with `os._exit` or a
signal loses what it holds in memory, not what it has spooled.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from contextvars import Context

from taximeter.emission import Emission
from taximeter.emitter.counters import Counters
from taximeter.emitter.sending import Parts
from taximeter.emitter.transport import Transport
from taximeter.emitter.waiting import Bounds, WaitingRoom
from taximeter.emitter.worker import Worker
from taximeter.faults import Faults
from taximeter.nothing import UNATTRIBUTED
from taximeter.settings import MeterSettings, WhenFull
from taximeter.spool import Spool, SpoolSettings
from taximeter.usage.counts import UNREADABLE
from taximeter_schemas.registry import Registry

_NOTICING_SECONDS = 0.5
_SPOOLING_SECONDS = 5.0
_LONGEST_WAIT = 1e6  # for ever, as far as a lock can be told

# Closed ones too: in a forked child their locks are made anew like all others. A thread at work holds its emitter.
_emitters: weakref.WeakSet[Emitter] = weakref.WeakSet()


class Emitter:
    """Takes emissions from any thread. `registry` is called once per process, so that no connection is shared."""

    def __init__(
        self, settings: MeterSettings, transport: Transport, registry: Callable[[], Registry], faults: Faults
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._open_registry = registry
        self._faults = faults
        self._spool = open_spool(settings, faults)
        self._prepare(registry())
        _emitters.add(self)
        if self._spool is not None:
            # What an earlier process left is sent without waiting for the first event of this one.
            self._start()

    def _prepare(self, registry: Registry) -> None:
        block = self._settings.block_ms / 1_000 if self._settings.when_full is WhenFull.BLOCK else 0.0
        self._registry = registry
        self._room = WaitingRoom(Bounds(self._settings.queue_events, self._settings.queue_bytes, block))
        redaction = self._settings.redaction
        parts = Parts(self._room, self._transport, registry, self._faults, redaction, self._spool)
        self._worker = Worker(parts)
        self._thread: threading.Thread | None = None
        self._starting = threading.RLock()
        self._over = False

    @property
    def closed(self) -> bool:
        """Whether nothing more is accepted."""
        return self._room.closed

    @property
    def faults(self) -> Faults:
        """Where hooks note what went wrong."""
        return self._faults

    def offer(self, emission: Emission) -> bool:
        """Take the emission over, or drop and count it: whether it was taken. Never raises."""
        if self._thread is None and not self._room.closed:
            self._start()
        return self._room.offer(emission)

    def _start(self) -> None:
        with self._starting:
            if self._thread is not None or self._room.closed:
                return
            _close_with_multiprocessing()
            # A context of its own: what the worker does is never attributed to the node that happened to come first.
            thread = threading.Thread(target=Context().run, args=(self._work,), name="taximeter-emitter", daemon=True)
            # Set first: a signal handler that ends a node meanwhile must not start a second one.
            self._thread = thread
            try:
                thread.start()
            except Exception as error:  # noqa: BLE001 - `offer` never raises
                # No thread can be had, as at the interpreter's end: `close` then sends what waits by itself.
                self._thread = None
                self._faults.note("emitter.start", error)

    def _work(self) -> None:
        self._worker.run()

    def flush(self, timeout: float) -> bool:
        """Wait until all that was accepted is acknowledged, spooled or dropped. False if the time was too short."""
        return self._room.flush(min(max(0.0, timeout), _LONGEST_WAIT))

    def close(self, timeout: float) -> bool:
        """Accept nothing more, and wait at most `timeout` seconds for what is held. True if nothing was lost."""
        timeout = min(max(0.0, timeout), _LONGEST_WAIT)
        with self._starting:
            first = not self._room.closed
            self._worker.stop_by = time.monotonic() + timeout
            self._room.close()
        if self._thread is None:
            if first:
                self._worker.run()
        elif self._thread is not threading.current_thread():
            # The worker needs a moment past its deadline to notice it, and to spool what is left; a stuck one is left
            # behind, it is a daemon.
            self._thread.join(timeout + (_SPOOLING_SECONDS if self._spool else _NOTICING_SECONDS))
        held = self._room.held
        self._over = True
        if first and held:
            self._faults.say(
                "emitter.lost", f"{held} events were not acknowledged in time and are lost with the process"
            )
        if first and not self._room.accepted and UNATTRIBUTED.count:
            self._faults.say(
                "emitter.unattributed",
                f"nothing was metered: {UNATTRIBUTED.count} records were made outside every run;"
                " make them inside `with meter.run(...)`",
            )
        return held == 0

    def close_at_exit(self) -> None:
        """Close with the settings' bound."""
        self.close(self._settings.close_timeout_seconds)

    def begin_in_child(self) -> None:
        """Start anew in a forked child. Never raises: nobody could catch it, and the hooks would meet dead locks."""
        was_closed = self._room.closed
        self._faults.reset()
        registry = self._registry
        try:
            self._transport.abandon()
            if self._spool is not None:
                self._spool.abandon()
            registry = self._open_registry()
        except Exception as error:  # noqa: BLE001 - see above
            self._faults.note("emitter.fork", error)
        self._prepare(registry)
        if was_closed:
            self._room.close()

    def counters(self) -> Counters:
        """What was counted so far in this process."""
        accepted, dropped, held = self._room.snapshot()
        progress = self._worker.progress
        return Counters(
            accepted=accepted,
            dropped=dropped,
            encoded=progress.encoded,
            produced=progress.produced,
            acknowledged=progress.acknowledged,
            failed=progress.failed,
            retried=progress.retried,
            shed=self._worker.shed,
            spilled=progress.spilled,
            drained=self._worker.drained,
            lost_at_exit=held if self._over else 0,
            queue_depth=held,
            unattributed=UNATTRIBUTED.count,
            unreadable=UNREADABLE.count,
            hook_errors=self._faults.count,
        )


def open_spool(settings: MeterSettings, faults: Faults) -> Spool | None:
    """The spool that the settings name. Raises Misconfigured."""
    if settings.spool_dir is None or not settings.enabled:
        return None
    bounds = SpoolSettings(settings.spool_dir, settings.spool_bytes, fsync=settings.spool_fsync)
    return Spool(bounds, faults)


def _close_all() -> None:
    for emitter in list(_emitters):
        if not emitter.closed:
            emitter.close_at_exit()


def _begin_in_child() -> None:
    for emitter in list(_emitters):
        emitter.begin_in_child()


def _close_with_multiprocessing() -> None:
    # A multiprocessing child ends with os._exit, which passes `atexit` by; its own finalizers are run. While its main
    # module is imported it does not know yet that it is a child, and it forgets the finalizers that were made there.
    library = sys.modules.get("multiprocessing.util")
    if library is not None:
        library.Finalize(None, _close_child, exitpriority=0)
        library.register_after_fork(_close_child, lambda close: library.Finalize(None, close, exitpriority=0))


def _close_child() -> None:
    if sys.modules["multiprocessing.process"].parent_process() is not None:
        _close_all()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_begin_in_child)
