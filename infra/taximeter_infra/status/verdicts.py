"""A verdict on one part of the pipeline: a level, a line, and the mend."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_MINUTE: Final = 60.0
_HOUR: Final = 3_600.0
_DAY: Final = 86_400.0


class Level(IntEnum):
    """How bad it is. Red: something stands still, is away or would lose; yellow: look at it when there is time."""

    GREEN = 0
    YELLOW = 1
    RED = 2

    @property
    def word(self) -> str:
        """As it is shown."""
        return self.name.lower()


@dataclass(frozen=True)
class Line:
    """A verdict. `mend` is empty where nothing is to be done."""

    name: str
    level: Level
    said: str
    mend: str = ""


def overall(lines: Sequence[Line]) -> Level:
    """The worst of all; green of none."""
    return max((line.level for line in lines), default=Level.GREEN)


def long(seconds: float) -> str:
    """A duration for people."""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f} s"
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.0f} h" if seconds < 2 * _DAY else f"{seconds / _DAY:.0f} days"


def many(number: int, thing: str) -> str:
    """A number with its noun: `1 record`, `2,000 records`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
