"""The sums of a re-rating: by account, by model, run and billing period. Pure; what it keeps of runs is bounded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

MOST_RUNS: Final = 100_000
"""Of so many runs are sums kept; beyond them those with the smallest differences are forgotten."""

Sums = tuple[Any, ...]
"""(account, provider, model, run, billing period, events, old US dollars, difference in US dollars)."""


@dataclass
class Total:
    """Events whose cost changes, what they cost so far, and by how much that changes, in US dollars."""

    events: int = 0
    old_usd: Decimal = Decimal(0)
    amount_usd: Decimal = Decimal(0)

    def add(self, events: int, old_usd: Decimal, amount_usd: Decimal) -> None:
        """Counts more of them."""
        self.events += events
        self.old_usd += old_usd
        self.amount_usd += amount_usd


@dataclass
class Summary:
    """All sums of one re-rating."""

    total: Total = field(default_factory=Total)
    accounts: dict[str, Total] = field(default_factory=dict)
    models: dict[tuple[str, str, str], Total] = field(default_factory=dict)
    periods: dict[tuple[str, str], Total] = field(default_factory=dict)
    runs: dict[tuple[str, str], Total] = field(default_factory=dict)

    def add(self, rows: Iterable[Sums]) -> None:
        """Counts the sums of one slice."""
        for account, provider, model, run, period, *numbers in rows:
            self.total.add(*numbers)
            self.accounts.setdefault(account, Total()).add(*numbers)
            self.models.setdefault((account, provider, model), Total()).add(*numbers)
            self.periods.setdefault((account, period), Total()).add(*numbers)
            self.runs.setdefault((account, run), Total()).add(*numbers)
        if len(self.runs) > 2 * MOST_RUNS:
            self.runs = dict(sorted(self.runs.items(), key=_size, reverse=True)[:MOST_RUNS])

    def largest_runs(self, most: int) -> list[tuple[tuple[str, str], Total]]:
        """The runs that change most, in either direction."""
        return sorted(self.runs.items(), key=_size, reverse=True)[:most]


def _size(run: tuple[tuple[str, str], Total]) -> tuple[Decimal, tuple[str, str]]:
    return abs(run[1].amount_usd), run[0]
