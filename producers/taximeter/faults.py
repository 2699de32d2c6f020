"""Faults: what went wrong inside a hook is counted and said in the log, never raised into the host.

One line a minute and place at most, so that a mistake in a hot loop cannot fill a disk. A line names the place and the
kind of mistake, never the value: a value may be a secret. Where the host has set up no logging, Python writes the lines
to standard error: events that are lost in silence would be the worse surprise.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any, TypeVar, cast

LOG = logging.getLogger("taximeter")

_QUIET_SECONDS = 60.0
_PLACES = 256


class Faults:
    """Counts faults. Safe across threads, and from signal handlers: its lock may be entered again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._count = 0
        self._said: dict[str, float] = {}

    @property
    def count(self) -> int:
        """How many faults were noted in this process."""
        return self._count

    def note(self, place: str, what: str | BaseException) -> None:
        """Count one fault of a hook and say it, unless this place spoke within the last minute. Never raises."""
        with self._lock:
            self._count += 1
        said = what if isinstance(what, str) else type(what).__name__
        self.say(place, f"{place}: {said}; counted as a hook error, the host is not disturbed")

    def say(self, place: str, line: str) -> None:
        """Log a line, unless this place spoke within the last minute. Never raises."""
        with self._lock:
            now = self._clock()
            last = self._said.get(place)
            if (last is not None and now - last < _QUIET_SECONDS) or (last is None and len(self._said) >= _PLACES):
                return
            self._said[place] = now
        # A log handler of the host's that fails must not reach the host through us.
        with suppress(Exception):
            LOG.warning("%s", line)

    def reset(self) -> None:
        """Start anew in a forked child, where another thread may have held the lock for ever."""
        self._lock = threading.RLock()
        self._count = 0


Hook = TypeVar("Hook", bound=Callable[..., None])


def guarded(hook: Hook) -> Hook:
    """A method that notes what it would have raised, a wrong call of it included, with its object's `faults`.

    KeyboardInterrupt and its like still pass: they are the host's.
    """
    place = hook.__qualname__

    @wraps(hook)
    def safe(self: Any, *given: Any, **named: Any) -> None:
        try:
            hook(self, *given, **named)
        except Exception as error:  # noqa: BLE001 - the promise: no hook ever raises into the host
            # At the recursion limit or without memory, even taking the note may fail.
            with suppress(Exception):
                self.faults.note(place, error)

    return cast(Hook, safe)


Maker = TypeVar("Maker", bound=Callable[..., Any])


def guarded_else(instead: Callable[[Any], object]) -> Callable[[Maker], Maker]:
    """As `guarded`, for a method that gives something: what `instead` makes of its object, when the call was wrong."""

    def guard(maker: Maker) -> Maker:
        place = maker.__qualname__

        @wraps(maker)
        def safe(self: Any, *given: Any, **named: Any) -> object:
            try:
                return maker(self, *given, **named)
            except Exception as error:  # noqa: BLE001 - the promise: no hook ever raises into the host
                with suppress(Exception):
                    self.faults.note(place, error)
                return instead(self)

        return cast(Maker, safe)

    return guard
