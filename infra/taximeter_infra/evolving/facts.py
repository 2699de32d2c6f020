"""What a look at registry, tables and topic saw. Values only: what could not be seen is `Unseen`, never a guess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from taximeter_schemas.registry_subject import Registered

T = TypeVar("T")


@dataclass(frozen=True)
class Unseen:
    """Why something could not be looked at, and what to do; `mend` may be empty."""

    problem: str
    mend: str = ""


@dataclass(frozen=True)
class InRegistry:
    """The subject as the registry has it. `refusing`: the versions with which it finds the schema incompatible."""

    subject: str
    mode: str
    versions: Sequence[Registered] = ()
    refusing: Sequence[int] = ()


@dataclass(frozen=True)
class Tables:
    """Table (with its database) -> its columns, and who stored events in the last day -> when last."""

    columns: Mapping[str, frozenset[str]]
    sinks: Mapping[str, datetime]


@dataclass(frozen=True)
class Arrivals:
    """The last records of the topic by the schema id that they carry; None: without the frame."""

    topic: str
    by_id: Mapping[int | None, int]

    @property
    def records(self) -> int:
        """How many were looked at."""
        return sum(self.by_id.values())


def seen(fact: T | Unseen) -> T | None:
    """The fact, None where it could not be seen."""
    return None if isinstance(fact, Unseen) else fact
