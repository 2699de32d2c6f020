"""Whether a record would be stored now: asked of the sink's own code and the real engine, which keep nothing of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from taximeter_consumers.sink.batch import Batch
from taximeter_consumers.sink.bundle import Bundle
from taximeter_consumers.sink.ledger import Ledger
from taximeter_consumers.sink.store import Store

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.sink.dead_letters import DeadLetter
    from taximeter_schemas.errors import Poison
    from taximeter_schemas.registry import Registry

# Nothing is stored under it: it only names the trial.
_TOPIC: Final = "dead letters on trial"


class _Nobody:
    """Where the dead letters of a trial go."""

    def write(self, _letters: Sequence[DeadLetter], _attempts: int, /) -> None:
        """They are dead letters already."""


class Trial:
    """Tries records out. Raises Retryable or Misconfigured."""

    def __init__(self, clickhouse: ClickHouse, registry: Registry) -> None:
        self._store = Store(clickhouse, registry, _Nobody(), Ledger(clickhouse, _TOPIC, ""))

    def bad(self, values: Sequence[bytes | None], arrived_ms: int) -> Mapping[int, Poison]:
        """Which of the values would become dead letters, by index, and why. `arrived_ms` is now, Unix milliseconds."""
        if not values:
            return {}
        batch = Batch(_TOPIC, 0, range(len(values)), values, [arrived_ms] * len(values))
        return self._store.tried(Bundle((batch,)))
