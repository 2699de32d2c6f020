"""Named places at which a process can be made to die: for the proof in `chaos/`, never in production.

`TAXIMETER_FAILPOINT=sink.after_insert@3` kills the process (SIGKILL, by itself) when it reaches that place for the
third time; without `@` the first. Without the variable every call returns at once. It is read when the process starts,
and a name that does not exist is refused then, so that no proof passes because of a spelling.
"""

from __future__ import annotations

import itertools
import os
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from taximeter_schemas.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE: Final = "TAXIMETER_FAILPOINT"

SINK: Final = (
    "sink.before_intent",  # batches are cut, Kafka has not been told
    "sink.after_intent",  # Kafka has been told, nothing is inserted
    "sink.after_insert",  # rows are in, dead letters and ledger are not
    "sink.after_dead_letters",  # the ledger is not
    "sink.after_ledger",  # all is in, the offset is not committed
)
AGGREGATE: Final = (
    "aggregate.before_match",  # the batches are listed
    "aggregate.after_match",  # names of models are matched to the book
    "aggregate.after_begin",  # the tick has its version
    "aggregate.after_recompute",  # one rollup of several is written
    "aggregate.before_record",  # all rollups are written, the batches are not recorded
    "aggregate.after_record",  # the tick is done
)
REPRICE: Final = (
    "reprice.begun",  # the order is recorded, no adjustment is written
    "reprice.slice_written",  # one slice of its adjustments is written, and counts for nothing yet
    "reprice.written",  # all of them are written and count, no rollup has them
    "aggregate.after_repriced",  # one step of what a new price touches is in the rollups
    "aggregate.before_rerated",  # the adjustments are in the rollups, which is not recorded
)
INVOICE: Final = (
    "invoice.before_claim",  # what is due is known, no number is claimed
    "invoice.after_claim",  # the number is claimed, the invoice is not made
    "invoice.before_issue",  # it is made and not stored
    "invoice.after_issue",  # it is stored
)
QUOTA: Final = (
    "quota.restored",  # a partition was taken over, nothing of it is decided yet
    "quota.after_apply",  # a command is decided, nobody knows
    "quota.after_reply",  # its caller is answered, no checkpoint has it
    "quota.before_checkpoint",  # the checkpoint is made up, nothing is written
    "quota.in_transaction",  # state and alerts are written, the offsets are not
    "quota.before_commit",  # all is written, the transaction is open
    "quota.after_checkpoint",  # the transaction is committed, the loop does not know
)
REPLAY: Final = (
    "replay.kept",  # the destination is durable, the place is not noted
    "replay.before_ledger",  # batches of a replay are in, the ledger has not heard of them
)
DLQ: Final = (
    "dlq.sent",  # the broker has some letters of a redrive again, the memory has not
    "dlq.noted",  # the memory has them, more are to follow
)
ARCHIVE: Final = (
    "archive.written",  # a file is there, the manifest does not list it
    "archive.listed",  # the manifest lists it, more are to follow
)
SWAP: Final = (
    "swap.paused",  # the live events take no inserts, nothing is exchanged
    "swap.caught_up",  # the shadow has all that the live tables have
    "swap.noted",  # the exchange is noted and not begun
    "swap.one_exchanged",  # one pair of several is exchanged, as when the server dies in between
    "swap.exchanged",  # all pairs are; what came in between is still to be carried over
    "swap.carried_over",  # it is carried over, and not rolled up
)
ERASE: Final = (
    "erase.begun",  # the hash and the pseudonym are remembered, nothing is rewritten
    "erase.events",  # events have the pseudonym, sums by user have the id
    "erase.recounted",  # the sums are counted again, the emptied rows still name the user
    "erase.moved",  # what has no events is moved
    "erase.others",  # runs, nodes and settings have the pseudonym
    "erase.deleted",  # the emptied rows are gone
    "erase.done",  # all is done, the pseudonym is still in an old row
)
RETENTION: Final = (
    "retention.announced",  # the horizon is recorded, what began before goes on
    "retention.noted",  # what began before has ended or is refused, no row is deleted
    "retention.deleted",  # one month is deleted, more are to go
)
POINTS: Final = frozenset(
    {*INVOICE, *REPRICE, *SINK, *AGGREGATE, *QUOTA, *REPLAY, *DLQ, *ARCHIVE, *SWAP, *ERASE, *RETENTION}
)


@dataclass(frozen=True)
class Failpoint:
    """Where to die, and at which time of coming there (1 is the first)."""

    name: str
    nth: int = 1
    # A counter whose steps no other thread can come between.
    visits: Iterator[int] = field(default_factory=lambda: itertools.count(1), compare=False)


def parse(text: str | None) -> Failpoint | None:
    """The failpoint that the variable names; None where it is unset or empty. Raises Misconfigured."""
    if not text:
        return None
    name, _, nth = text.partition("@")
    if name not in POINTS:
        raise Misconfigured(f"{VARIABLE} names no failpoint: {name}", mend=f"unset it, or one of {sorted(POINTS)}")
    if "@" in text and not (nth.isascii() and nth.isdigit() and int(nth) > 0):
        raise Misconfigured(f"{VARIABLE} has no count after the @", mend=f"write it as {name}@3")
    return Failpoint(name, int(nth or 1))


_ARMED: Final = parse(os.environ.get(VARIABLE))


def reached(name: str) -> None:
    """Dies here if the environment says so, else returns."""
    if _ARMED is not None and _ARMED.name == name and next(_ARMED.visits) == _ARMED.nth:
        os.kill(os.getpid(), signal.SIGKILL)


def is_armed(name: str) -> bool:
    """Whether the environment wants this process to die there: for a place that exists only to be died at."""
    return _ARMED is not None and _ARMED.name == name
