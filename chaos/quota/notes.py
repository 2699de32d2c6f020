"""What a run of a quota fault knows of itself: what it limited, who asked, and when nobody decided. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

# Percent of a limit; low ones too, so that runs of seconds cross some.
THRESHOLDS: Final = tuple(map(Decimal, (1, 5, 10, 25, 50, 75, 90, 100)))


@dataclass(frozen=True)
class Stop:
    """No service decided between these instants, Unix microseconds by the one clock of the machine."""

    since: int
    until: int


@dataclass
class QuotaNotes:
    """Filled by `chaos.quota.site` while the run goes on."""

    # Of the topic of commands.
    partitions: int = 0
    # Tokens a month by account.
    limits: dict[str, Decimal] = field(default_factory=dict)
    # Journals of reservers and of gates, and which of their processes were killed.
    callers: list[Path] = field(default_factory=list)
    killed: set[str] = field(default_factory=set)
    stops: list[Stop] = field(default_factory=list)
    # Whether events of the work are metered: then what is used comes from them.
    metered: bool = False
    # What the last `show` of each account was answered, as JSON; empty where nobody came that far.
    shown: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    # Statuses of commands that had to be there while something was away, by what it proves.
    seen: dict[str, int] = field(default_factory=dict)
