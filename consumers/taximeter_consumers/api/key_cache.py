"""Keys that were looked up a moment ago, so that a request does not cost a query.

An answer is believed for seconds, so a revoked key opens nothing after as long. While ClickHouse is away a key that was
good is believed longer, up to minutes: what needs no ClickHouse goes on. Of ids that nobody has only the last few
thousand are remembered. Threads share a cache; two of them may ask for the same key at once.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Final

from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from collections.abc import Callable

    from taximeter_consumers.api.keys import Key

_MOST: Final = 4_096


class KeyCache:
    """`find` looks a key up by its id; `clock` gives monotonic seconds."""

    def __init__(
        self,
        find: Callable[[str], Key | None],
        clock: Callable[[], float],
        *,
        seconds: float = 5.0,
        outage_seconds: float = 600.0,
    ) -> None:
        self._find = find
        self._clock = clock
        self._seconds = seconds
        self._outage_seconds = outage_seconds
        self._known: OrderedDict[str, tuple[float, Key | None]] = OrderedDict()
        self._lock = Lock()

    def get(self, key_id: str) -> Key | None:
        """The key of an id. Raises Retryable where ClickHouse is away and the key is not known well enough."""
        now = self._clock()
        with self._lock:
            read_at, key = self._known.get(key_id, (float("-inf"), None))
        if now - read_at < self._seconds:
            return key
        try:
            found = self._find(key_id)
        except Retryable:
            if key is not None and now - read_at < self._outage_seconds:
                return key
            raise
        with self._lock:
            self._known[key_id] = (now, found)
            self._known.move_to_end(key_id)
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
        return found
