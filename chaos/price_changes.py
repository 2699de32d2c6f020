"""Prices that change while a run is on: what was appended to the book, and what each call must cost by it.

A change holds for calls that arrive from `known_from` on. Earlier ones keep their price, unless they were priced anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from chaos.charging import Charge, charged, rerated
from chaos.truth import Row, micros
from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.pricing.book import append_rates, server_time
from taximeter_consumers.pricing.rate import Rate
from taximeter_infra.simulate.catalogue import list_prices

# After the list's own prices began, before all events of the streams that are used with price changes.
_VALID_FROM: Final = datetime(2026, 7, 1, tzinfo=UTC)
_ALWAYS: Final = 0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class PriceChange:
    """New prices of a model: for everybody, or for one account. `known_from`: Unix microseconds, 0 for all calls that
    ever came. `rerated`: everything that had arrived before was priced anew."""

    provider: str
    model: str
    usd_per_unit: Mapping[str, Decimal]
    account_id: str = ""
    known_from: int = _ALWAYS
    rerated: bool = False

    def __str__(self) -> str:
        whose = f" of {self.account_id}" if self.account_id else ""
        when = "all calls" if self.known_from == _ALWAYS else "calls from now on"
        return f"{self.provider}/{self.model}{whose} priced anew for {when}"


def append(clickhouse: ClickHouse, change: PriceChange, *, from_now: bool) -> PriceChange:
    """Brings a change into the book, in one INSERT. Returns it with the instant from which it is known."""
    known_from = server_time(clickhouse) if from_now else _EPOCH
    rates = [
        Rate(
            change.provider,
            change.model,
            unit,
            usd,
            valid_from=_VALID_FROM,
            known_from=known_from,
            account_id=change.account_id,
            source="chaos",
            added_by="chaos",
        )
        for unit, usd in change.usd_per_unit.items()
    ]
    append_rates(clickhouse, rates)
    return replace(change, known_from=micros(known_from))


def charge_of(row: Row, arrived: int, changes: Sequence[PriceChange]) -> Charge:
    """What an event costs that arrived then, Unix microseconds: the prices known at that time, and if they were changed
    and it was priced anew, the difference."""
    known = [change for change in changes if change.known_from <= arrived]
    first = charged(row, _prices(row, known))
    anew = max((at for at, change in enumerate(changes) if change.rerated), default=None)
    if anew is None or arrived >= changes[anew].known_from:
        return first
    return rerated(row, first, _prices(row, changes[: anew + 1]))


def _prices(row: Row, changes: Sequence[PriceChange]) -> dict[str, Decimal]:
    """The prices of an event's model by unit: the list's, those of later changes, and the account's own above all."""
    name = (row["provider"], row["model"])
    listed: dict[str, Decimal] = dict(_LIST.get(name, {}))
    own: dict[str, Decimal] = {}
    for change in changes:
        if (change.provider, change.model) == name and change.account_id in ("", row["account_id"]):
            (own if change.account_id else listed).update(change.usd_per_unit)
    return {**listed, **own}


_LIST: Final = list_prices()
