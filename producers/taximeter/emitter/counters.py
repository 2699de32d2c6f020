"""What the emitter counts, as one frozen snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Counters:
    """Numbers of events since the process (or its fork) began.

    accepted = acknowledged + spilled + dropped as invalid or refused + queue_depth; what is dropped as full or closed
    was never accepted. All but `unattributed` and `unreadable` are one meter's.
    """

    accepted: int = 0  # taken over from the hooks
    dropped: Mapping[str, int] = field(default_factory=dict)  # by reason: full, closed, invalid, refused
    encoded: int = 0  # made into Avro
    produced: int = 0  # handed to the transport, repeats included
    acknowledged: int = 0  # stored, says the broker
    failed: int = 0  # deliveries that the transport reported as failed
    retried: int = 0  # failed deliveries sent again
    shed: int = 0  # went without their debug-only texts, under pressure
    spilled: int = 0  # moved to the disk spool
    drained: int = 0  # sent from the disk spool, those of earlier or other processes included
    lost_at_exit: int = 0  # of those held: nobody sends them any more, because the meter was closed
    queue_depth: int = 0  # held in memory now: waiting, or sent and not yet acknowledged
    unattributed: int = 0  # records made outside every run, in the whole process
    unreadable: int = 0  # providers' answers, or single counters in them, that could not be read, in the whole process
    hook_errors: int = 0  # mistakes in calls of the hooks; each left something out, none reached the host
