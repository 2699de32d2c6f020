"""What everything together cost: in total, by model, by context and by day.

The rollups count models by the hour, so the whole summary does: an hour belongs to it if it begins within the filter's
time. Its parts are read one after the other. While a tick runs they may be from before and after it; when none does,
they agree to the last digit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.queries.reports import Filter, Row, records, totals

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

_HOUR: Final = timedelta(hours=1)
_SHARE: Final = Decimal("0.000001")
# More digits than any sum of amounts has.
_PRECISION: Final = 76


@dataclass(frozen=True)
class UsageSummary:
    """Rows of reports: one of everything, one for each model, context and day. Costs are exact Decimals of US dollars.

    Shares are between 0 and 1, rounded half up to six places; None where there is nothing to have a share of.
    """

    total: Row
    by_model: list[Row]
    by_context: list[Row]
    by_day: list[Row]

    @property
    def cost_usd(self) -> Decimal:
        """What is known of the cost: the models' rows, plugins, resources and `other_adjusted_cost_usd` make it up."""
        cost: Decimal = self.total["cost_usd"]
        return cost

    @property
    def models_cost_usd(self) -> Decimal:
        """The sum of `by_model`: calls of models, with what re-rating added to them."""
        return _sum(self.by_model, "cost_usd")

    @property
    def other_adjusted_cost_usd(self) -> Decimal:
        """What re-rating added to the cost of plugins and resources; it is not in the costs of these."""
        with localcontext(prec=_PRECISION):
            other: Decimal = self.total["adjusted_cost_usd"] - _sum(self.by_model, "adjusted_cost_usd")
            return other

    @property
    def estimated_share(self) -> Decimal | None:
        """Of the cost: of uses that were estimated or seen in part."""
        return share(self.total["estimated_cost_usd"], self.cost_usd)

    @property
    def reported_share(self) -> Decimal | None:
        """Of the cost: stated by providers."""
        return share(self.total["reported_cost_usd"], self.cost_usd)

    @property
    def unpriced_share(self) -> Decimal | None:
        """Of the calls of models: without a price, so not in the cost."""
        return share(self.total["unpriced_calls"], self.total["ai_calls"])

    @property
    def unmeasured_share(self) -> Decimal | None:
        """Of the calls of models: of unknown use, so not in the cost."""
        return share(self.total["unmeasured_calls"], self.total["ai_calls"])

    def plainly(self) -> dict[str, Any]:
        """All of it as one mapping, for JSON."""
        return {
            "summary": {
                **self.total,
                "models_cost_usd": self.models_cost_usd,
                "other_adjusted_cost_usd": self.other_adjusted_cost_usd,
                "estimated_share": self.estimated_share,
                "reported_share": self.reported_share,
                "unpriced_share": self.unpriced_share,
                "unmeasured_share": self.unmeasured_share,
            },
            "by_model": self.by_model,
            "by_context": self.by_context,
            "by_day": self.by_day,
        }


def usage_summary(clickhouse: ClickHouse, chosen: Filter) -> UsageSummary:
    """The summary of what the filter covers; its `limit` is not looked at. One row of zeros where there is nothing."""
    hours = replace(chosen, since=_next_hour(chosen.since), until=_next_hour(chosen.until))
    return UsageSummary(
        totals(clickhouse, hours),
        records(clickhouse, "by_model", hours.parameters),
        records(clickhouse, "by_context", hours.parameters),
        records(clickhouse, "by_day", hours.parameters),
    )


def share(part: Decimal | int, whole: Decimal | int) -> Decimal | None:
    """How much `part` is of `whole`, rounded half up to six places; None of nothing."""
    return (Decimal(part) / whole).quantize(_SHARE, ROUND_HALF_UP) if whole else None


def _sum(rows: list[Row], column: str) -> Decimal:
    with localcontext(prec=_PRECISION):
        return sum((row[column] for row in rows), Decimal(0))


def _next_hour(moment: datetime | None) -> datetime | None:
    """The first full hour that is not before `moment`."""
    if moment is None:
        return None
    moment = moment.astimezone(UTC)
    begun = moment.replace(minute=0, second=0, microsecond=0)
    return begun if begun == moment else begun + _HOUR
