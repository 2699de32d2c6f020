"""What to simulate: a frozen plan. Two equal plans give the same events, byte for byte and in the same order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from taximeter_schemas.errors import Misconfigured

DEFAULT_ACCOUNTS = 12
EVENTS_PER_RUN = 20
# Simulated seconds pass at this pace unless the events are sent at a rate of their own.
DEFAULT_PACE = 20.0

# Late enough for the price book to know a price for every model of the catalogue.
_FIRST_DAY = datetime(2026, 6, 1, tzinfo=UTC)
_DAYS = 90
# The storage takes ids of these years; a simulation stays a little inside.
_EARLIEST, _LATEST = datetime(2020, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class SimulationPlan:
    """`pace` is events per simulated second. Without `start` the clock begins `seed % 90` days after 2026-06-01."""

    events: int
    seed: int = 0
    runs: int | None = None
    accounts: int = DEFAULT_ACCOUNTS
    start: datetime | None = None
    pace: float = DEFAULT_PACE

    def __post_init__(self) -> None:
        """Raises Misconfigured for numbers that no simulation can satisfy."""
        if self.events < 1:
            raise Misconfigured(f"{self.events} events were asked for", mend="ask for at least 1 with --events")
        if self.runs is not None and not 1 <= self.runs <= self.events:
            raise Misconfigured(
                f"{self.events} events cannot form {self.runs} runs", mend="give --runs between 1 and --events"
            )
        if self.accounts < 1:
            raise Misconfigured(f"{self.accounts} accounts were asked for", mend="give --accounts of at least 1")
        if not self.pace > 0:
            raise Misconfigured(f"the pace is {self.pace} events a second", mend="give a --rate above 0")
        if self.start is not None and not _EARLIEST <= self.start < _LATEST:
            raise Misconfigured(
                f"--start {self.start.isoformat()} is outside what the storage accepts",
                mend=f"give a time from {_EARLIEST.year} to {_LATEST.year - 1}",
            )

    @property
    def run_count(self) -> int:
        """How many runs the events form: as asked, else one for every 20 events."""
        return self.runs if self.runs is not None else max(1, self.events // EVENTS_PER_RUN)

    @property
    def salt(self) -> str:
        """What all randomness is drawn from: the whole plan, so that plans that differ never share an event's id."""
        return f"{self.seed}/{self.events}/{self.run_count}/{self.accounts}/{self.first_instant}/{self.pace}"

    @property
    def first_instant(self) -> datetime:
        """When the simulated clock starts."""
        return self.start if self.start is not None else _FIRST_DAY + timedelta(days=self.seed % _DAYS)

    @property
    def span_us(self) -> int:
        """Over how many microseconds the runs begin."""
        return int(self.events / self.pace * 1_000_000)
