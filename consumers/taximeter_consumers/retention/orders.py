"""Orders of retention as they are recorded, and the fence between sums that are being written and events that go.

    announced   work that begins from now on leaves out what is frozen; work that began before goes on
    sealed      the server refuses what began before and has not read yet; what is reading is waited for
    done        the rows are gone

A killed order stays at its step and is in nobody's way: the horizon holds, and the next order deletes the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid4

from taximeter_consumers import failpoints
from taximeter_consumers.retention.horizon import at_work
from taximeter_schemas.errors import Retryable

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

ANNOUNCED: Final = 1
SEALED: Final = 2
DONE: Final = 3

GRACE_SECONDS: Final = 1.0
"""So long no work that began before may be seen, before it is refused: for its sake, not for the sums'."""

_LONGEST_SECONDS: Final = 1_800.0
_LOOK_SECONDS: Final = 0.02
_NOTE: Final = """
INSERT INTO stored_retentions (order_id, kept_from, deleted, texts_days, by, step, at)
SELECT {order_id:UUID}, fromUnixTimestamp64Micro({kept_from:Int64}, 'UTC'), {deleted:UInt64},
    {texts_days:Nullable(UInt32)}, {by:String}, {step:UInt8}, now64(6)
"""


@dataclass(frozen=True)
class Order:
    """Who wants what deleted: events before `kept_from` (Unix microseconds; `deleted` rows), or texts after days."""

    by: str
    kept_from: int = 0
    deleted: int = 0
    texts_days: int | None = None
    order_id: UUID = field(default_factory=uuid4)


def note(clickhouse: ClickHouse, order: Order, step: int) -> None:
    """Records a step of an order."""
    clickhouse.execute(_NOTE, vars(order) | {"order_id": str(order.order_id), "step": step})


def fence(clickhouse: ClickHouse, order: Order) -> None:
    """Announces and seals the horizon of an order. Afterwards no statement that writes sums reads events before it, or
    ever will. Raises Retryable where one that does takes half an hour."""
    note(clickhouse, order, ANNOUNCED)
    failpoints.reached("retention.announced")
    _wait_out(clickhouse, order.kept_from, GRACE_SECONDS)
    note(clickhouse, order, SEALED)
    # What looked before the seal was recorded is in the server's list since then.
    _wait_out(clickhouse, order.kept_from, 0)


def _wait_out(clickhouse: ClickHouse, horizon: int, quiet_seconds: float) -> None:
    began = seen = monotonic()
    while True:
        busy = at_work(clickhouse, horizon)
        now = monotonic()
        if busy:
            seen = now
        elif now - seen >= quiet_seconds:
            return
        if now - began > _LONGEST_SECONDS:
            raise Retryable("sums are still being written: stop `taximeter aggregate`, and give the order again")
        sleep(_LOOK_SECONDS)
