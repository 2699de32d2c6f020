"""Which process this is: a number that changes in every forked child.

A node belongs to the process that started it, and an emitter's thread does not survive a fork. Both compare this
number instead of asking the kernel for a pid on the hot path.
"""

from __future__ import annotations

import os
import threading
from itertools import count

_numbers = count(1)
_epoch = next(_numbers)


def epoch() -> int:
    """This process's number: greater in a child than in any of its parents, never 0."""
    return _epoch


def _forked() -> None:
    global _epoch
    _epoch = next(_numbers)


class ProcessCount:
    """A count of this process, which begins anew in a forked child. Safe across threads, and from signal handlers."""

    def __init__(self) -> None:
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        # In a forked child, another thread may have held the lock for ever.
        self._lock = threading.RLock()
        self.count = 0

    def add(self) -> None:
        """Count one."""
        with self._lock:
            self.count += 1


os.register_at_fork(after_in_child=_forked)
