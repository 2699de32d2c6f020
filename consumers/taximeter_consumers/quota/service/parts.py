"""What the loop works with, made by `service` for one membership."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taximeter_consumers.quota.service.checkpoint import Checkpointer
    from taximeter_consumers.quota.service.loads import Loads
    from taximeter_consumers.quota.service.membership import Membership
    from taximeter_consumers.quota.service.quoting import Quoting
    from taximeter_consumers.quota.service.replies import Replies
    from taximeter_consumers.quota.service.restorer import Restorer
    from taximeter_consumers.quota.service.ticks import Ticks


@dataclass(frozen=True)
class Parts:
    """`partitions`: of the commands."""

    partitions: int
    membership: Membership
    restorer: Restorer
    checkpointer: Checkpointer
    replies: Replies
    loads: Loads
    ticks: Ticks
    quoting: Quoting
