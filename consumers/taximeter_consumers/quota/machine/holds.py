"""A hold in memory, and how long what is over is still cared for.

A hold may have inner ones, to any depth up to `DEEPEST`. Only the outermost, the top, claims anything at levels; inner
ones draw from the one around them. `Inner` are the running totals over the direct inner holds, so that no decision ever
adds up all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Final

from taximeter_schemas.quota.limits import MINUTE

PATIENCE: Final = 5 * MINUTE
"""How long after its expiry work may still go on unseen (microseconds)."""
LINGER: Final = MINUTE
"""How long after a confirm its events may still be on their way to Kafka (microseconds)."""
REMEMBER: Final = 15 * MINUTE
"""How long a closed hold is remembered for repeated commands (microseconds)."""
DEEPEST: Final = 16
"""How many holds may lie within one another."""

Sums = dict[str, Decimal]
NONE: Final[Mapping[str, Decimal]] = {}


class State(StrEnum):
    """What became of a hold."""

    OPEN = "open"
    SETTLED = "settled"
    RELEASED = "released"
    EXPIRED = "expired"


@dataclass(slots=True, eq=False)
class Inner:
    """Sums over the direct inner holds, by meter: gross; and by level and meter: what is visible, what is to come."""

    gross: Sums = field(default_factory=dict)
    seen: dict[str, Sums] = field(default_factory=dict)
    left: dict[str, Sums] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Hold:
    """Amounts set aside. Times are Unix microseconds of the log; `offset` is that of the command that made it.

    `seen` is what of its own transaction is visible, for each level by the facts of that level. `quiet_at`: when every
    event that Kafka had before then is counted, it and all within it claim nothing more. `done`: that is so. `counted`
    is what it adds now to the totals of its levels, and `minute` the one in which that counts as settled.
    """

    hold_id: str
    offset: int
    kind: str
    levels: tuple[str, ...]
    amounts: Mapping[str, Decimal]
    reserved_at: int
    expires_at: int
    run_id: str = ""
    degrade_to: str = ""
    state: State = State.OPEN
    actual: Mapping[str, Decimal] = field(default_factory=dict)
    closed_at: int = 0
    quiet_at: int = 0
    done: bool = False
    seen: dict[str, Mapping[str, Decimal]] = field(default_factory=dict)
    outer: Hold | None = None
    inners: list[Hold] = field(default_factory=list)
    inner: Inner = field(default_factory=Inner)
    counted: dict[str, Sums] = field(default_factory=dict)
    counted_held: bool = True
    minute: int = 0

    @property
    def is_open(self) -> bool:
        """Whether work may be done under it."""
        return self.state is State.OPEN

    @property
    def top(self) -> Hold:
        """The outermost hold around it."""
        hold = self
        while hold.outer is not None:
            hold = hold.outer
        return hold

    @property
    def depth(self) -> int:
        """How many holds are around it."""
        depth, hold = 0, self
        while hold.outer is not None:
            depth, hold = depth + 1, hold.outer
        return depth

    def within(self) -> list[Hold]:
        """Every hold inside it, each before those inside that."""
        found = list(self.inners)
        for hold in found:
            found.extend(hold.inners)
        return found
