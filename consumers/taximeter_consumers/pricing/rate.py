"""The rows of the price book: rates and discounts, as values.

A rate is one price of one series: everything that says which use it is for, without the instants. It holds from
`valid_from` until the next row of its series. `known_from` is the second clock: calls that arrived before it keep the
price that they had, so that a correction never changes what was counted before; `reprice` does that, and shows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from taximeter_consumers.pricing.units import STANDARD

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
DAY_SECONDS: Final = 86_400

Series = tuple[str, str, str, str, str, int, int, int]
"""(account, provider, model, unit, service tier, above input tokens, window start, window end)."""


def micros(moment: datetime) -> int:
    """Unix microseconds, exact."""
    return (moment - EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True)
class Rate:
    """One price in US dollars for one unit; None says that this series knows none from then on.

    `account_id` empty: everybody's. `above_input_tokens`: for the whole of a call with more input tokens than this.
    The window is in seconds of the UTC day, its end exclusive, and never wraps.
    """

    provider: str
    model: str
    unit: str
    usd_per_unit: Decimal | None
    valid_from: datetime = EPOCH
    source: str = ""
    account_id: str = ""
    service_tier: str = STANDARD
    above_input_tokens: int = 0
    window_start: int = 0
    window_end: int = DAY_SECONDS
    known_from: datetime = EPOCH
    added_by: str = ""

    @property
    def series(self) -> Series:
        """What makes two rates prices of the same thing."""
        return (
            self.account_id,
            self.provider,
            self.model,
            self.unit,
            self.service_tier,
            self.above_input_tokens,
            self.window_start,
            self.window_end,
        )

    @property
    def all_day(self) -> bool:
        """Whether it holds at any time of the day."""
        return self.window_start == 0 and self.window_end == DAY_SECONDS


@dataclass(frozen=True)
class Discount:
    """A percentage off the list prices of an account; `provider` and `model` empty: of all of them. None ends one."""

    account_id: str
    percent: Decimal | None
    provider: str = ""
    model: str = ""
    valid_from: datetime = EPOCH
    source: str = ""
    known_from: datetime = EPOCH
    added_by: str = ""
