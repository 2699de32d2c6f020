"""What a look at the pipeline saw. Values only: what could not be seen is a `Trouble`, never a guess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Trouble:
    """Why something could not be looked at, and what to do; `mend` may be empty."""

    problem: str
    mend: str = ""


@dataclass(frozen=True)
class Cluster:
    """The brokers. `leaderless`: topics of ours of which a partition has no leader."""

    brokers: int
    topics: int
    missing: Sequence[str] = ()
    leaderless: Sequence[str] = ()
    none_of_ours: bool = False


@dataclass(frozen=True)
class Waiting:
    """What a group has not committed of one partition; `seconds`: since the oldest arrived, None where unknown."""

    records: int
    seconds: float | None = None


@dataclass(frozen=True)
class Group:
    """Where a consumer group stands on a topic. `committed` has the partitions that it ever committed."""

    members: int
    committed: Mapping[int, int] = field(default_factory=dict)
    waiting: Mapping[int, Waiting] = field(default_factory=dict)
    ends: int = 0
    name: str = ""

    @property
    def records(self) -> int:
        """How many records wait."""
        return sum(one.records for one in self.waiting.values())

    @property
    def oldest_seconds(self) -> float | None:
        """The age of the oldest that waits; None where nothing waits, or nobody knows."""
        return max((one.seconds for one in self.waiting.values() if one.seconds is not None), default=None)

    @property
    def ageless(self) -> list[int]:
        """The partitions where records wait and nobody knows since when."""
        return sorted(number for number, one in self.waiting.items() if one.seconds is None)

    @property
    def worst(self) -> int | None:
        """The partition whose oldest record waits longest; of those whose age nobody knows, the fullest."""
        return max(
            self.waiting,
            key=lambda number: (self.waiting[number].seconds or 0.0, self.waiting[number].records),
            default=None,
        )


@dataclass(frozen=True)
class Letters:
    """The dead-letter topic: how many records it holds, and the reason (with its age in seconds) of the last one.

    `decided`: how many of them were redriven or dropped. `firsts`: partition to the first offset that is there."""

    records: int
    last_reason: str = ""
    last_seconds: float | None = None
    decided: int = 0
    firsts: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Server:
    """ClickHouse: its version, and how long a question took."""

    version: str
    seconds: float


@dataclass(frozen=True)
class Tables:
    """`pending` are migrations that are not applied."""

    pending: Sequence[str] = ()


@dataclass(frozen=True)
class Stored:
    """What ClickHouse has of the pipeline.

    `stored_seconds`: partition to the seconds since its last batch was stored, of the last two days; `long_ago`: all
    that is stored is older. `rate`: records a second that were stored in the last ten. Ages are by the server's
    clock."""

    stored_seconds: Mapping[int, float] = field(default_factory=dict)
    long_ago: bool = False
    rate: float = 0.0
    rollup_lag_seconds: float = 0.0
    tick_seconds: float | None = None
    freshness_seconds: float | None = None

    @property
    def last_stored_seconds(self) -> float | None:
        """Since the last batch of all; None where there was none, or all were long ago."""
        return min(self.stored_seconds.values(), default=None)

    @property
    def ever(self) -> bool:
        """Whether a batch was stored at any time."""
        return self.long_ago or bool(self.stored_seconds)


@dataclass(frozen=True)
class Costs:
    """Calls of the last day by how their cost is known, and those whose use was estimated."""

    calls: int
    without_cost: int
    estimated: int


@dataclass(frozen=True)
class Rebuilding:
    """Shadows that there are, those in the middle of a swap, whether inserts are held up by one, and re-ratings that
    no tick has taken yet with the seconds since the oldest was ordered."""

    shadows: Sequence[str] = ()
    swapping: Sequence[str] = ()
    paused: bool = False
    reratings: int = 0
    rerating_seconds: float = 0.0


@dataclass(frozen=True)
class Spool:
    """Executors' events on this machine's disk; `living` are those of processes that send them themselves."""

    directory: str
    records: int
    living: int
    damaged: int
    oldest_seconds: float | None = None


@dataclass(frozen=True)
class Service:
    """What a service says at its metrics endpoint. `beat_seconds`: since its loop last turned. `errors`: kind to the
    seconds since it last came."""

    place: str
    name: str
    beat_seconds: float | None
    errors: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """A look: monotonic seconds when it ended, and what it saw. None: it was not to be looked at."""

    at: float
    cluster: Cluster | Trouble
    server: Server | Trouble
    sink: Group | Trouble
    quota: Group | Trouble
    letters: Letters | Trouble
    tables: Tables | Trouble
    stored: Stored | Trouble
    costs: Costs | Trouble
    rebuilding: Rebuilding | Trouble
    spool: Spool | Trouble | None = None
    services: Sequence[Service | Trouble] = ()


def seen(one: T | Trouble | None) -> T | None:
    """What was seen; None where it was not."""
    return None if isinstance(one, Trouble) else one
