"""The conservation table, in bounded memory: hours while they are few, then days, then accounts; sums and a digest.

The digest is over every hour of every side in order, so it does not depend on what the table shows: two audits with one
digest saw the same numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from taximeter_consumers.conservation.measures import MEASURES

if TYPE_CHECKING:
    from taximeter_consumers.conservation.measures import Values

# What a person looks through.
MOST_HOURS: Final = 48
MOST_DAYS: Final = 93
MOST_ACCOUNTS: Final = 200


@dataclass
class _Level:
    """The lines of one width, until there are too many of them."""

    most: int
    lines: dict[tuple[str, str], Counter[str]] | None = field(default_factory=dict)

    def add(self, key: tuple[str, str], values: Values) -> None:
        if self.lines is None:
            return
        self.lines.setdefault(key, Counter()).update(values)
        if len(self.lines) > self.most:
            self.lines = None


class Table:
    """Takes the hours one after the other, in order of account and hour."""

    def __init__(self) -> None:
        self._levels = {"hour": _Level(MOST_HOURS), "day": _Level(MOST_DAYS), "account": _Level(MOST_ACCOUNTS)}
        self._hash = hashlib.sha256()
        self.totals: dict[str, Counter[str]] = {}
        self.shown: Counter[str] = Counter()
        self.hours = 0

    def add(self, account_id: str, hour: datetime, sides: Mapping[str, Values], shown: Values) -> None:
        """One hour: its sums by side, and what a line shows of it."""
        self.hours += 1
        for name, values in sides.items():
            self.totals.setdefault(name, Counter()).update(values)
        self.digest_of(["hour", account_id, f"{hour:%Y-%m-%dT%H:%M:%SZ}", *_plain(sides)])
        self.shown.update(shown)
        self._levels["hour"].add((account_id, f"{hour:%Y-%m-%d %H}:00"), shown)
        self._levels["day"].add((account_id, f"{hour:%Y-%m-%d}"), shown)
        self._levels["account"].add((account_id, ""), shown)

    def digest_of(self, row: list[object]) -> None:
        """Takes a row of plain values into the digest."""
        self._hash.update(json.dumps(row, ensure_ascii=True, separators=(",", ":")).encode() + b"\n")

    @property
    def digest(self) -> str:
        """SHA-256, hexadecimal."""
        return self._hash.hexdigest()

    @property
    def lines(self) -> tuple[str, list[tuple[str, str, Values]]]:
        """How wide a line is, and the lines: (account, hour or day or nothing, values). None where even accounts are
        too many."""
        for width, level in self._levels.items():
            if level.lines is not None:
                return width, [(*key, values) for key, values in level.lines.items()]
        return "all", []


def shown_of(sides: Mapping[str, Values], gaps: int) -> Values:
    """What a line shows of an hour: what was accepted, what became of it, use and cost, and how many gaps there are."""
    rows = sides["rows"]
    accepted, stored = rows.get("rows", 0), rows.get("events", 0)
    use = {name: value for name, value in sides["charged"].items() if name in MEASURES}
    return {**use, "rows": accepted, "stored": stored, "duplicates": accepted - stored, "gaps": gaps}


def _plain(sides: Mapping[str, Values]) -> list[object]:
    # Wide numbers as text: whoever makes the digest anew need not have wide ones.
    return [
        [name, *(f"{key}={value}" for key, value in sorted(values.items()))] for name, values in sorted(sides.items())
    ]
