"""Some events with what each of them costs, priced here and not by the server.

The server's own query of priced events (`pricing.charged`) is so large that planning it takes longer than a page may;
for a page, or for a run of ordinary size, it is quicker to read the bare events and to price them by its twin in Python
(`pricing.price`), which tests hold equal to it, with the same book and the same adjustments.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID

from pydantic import BaseModel

from taximeter_consumers.billing.amounts import total
from taximeter_consumers.pricing.price import Prices, Source, call_size, cost_of
from taximeter_consumers.pricing.series import Use, fitting
from taximeter_consumers.pricing.units import PLUGIN, RESOURCE
from taximeter_schemas.event import AiUsage, CodeUsage, HttpUsage, Kind, MeterEvent, PluginUsage, Quality

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from taximeter_consumers.api.reads.books import Books, Sheets
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.pricing.price import Charge

Row = dict[str, Any]
Part = TypeVar("Part", bound=BaseModel)
Adjusted = tuple[Decimal, Decimal, Decimal, bool, bool]
"""What re-rating added to the model's, the plugin's and the resources' cost; whether it touched the first two."""

_ZERO: Final = Decimal(0)
_NONE: Final[Adjusted] = (_ZERO, _ZERO, _ZERO, False, False)
_QUALITIES: Final = {quality.value: quality for quality in Quality}
_KINDS: Final = {kind.value: kind for kind in Kind}
_AI: Final = (
    "provider", "model", "usage_type", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens",
    "reasoning_tokens", "total_tokens", "audio_ms", "characters", "images", "service_tier", "reported_cost",
)  # fmt: skip
# Copied for each event: to find every default anew takes four times as long.
_CALL, _HTTP, _PLUGIN, _CODE = (
    AiUsage.model_construct(),
    HttpUsage.model_construct(),
    PluginUsage.model_construct(),
    CodeUsage.model_construct(),
)
_EVENT: Final = MeterEvent.model_construct(event_id=UUID(int=0), occurred_at=datetime.fromtimestamp(0, UTC))
COLUMNS: Final = (
    "account_id, event_id, id_time, occurred_at, arrived_at, kind, user_id, project_id, workflow_id, run_id, node_id,"
    " node_type, attempt, agent_name, outcome, breach_reason, error_message, context, transaction_id, tags, executions,"
    f" duration_us, {', '.join(_AI)}, quality, ai_units, http_requests, http_bytes_out, http_bytes_in, http_errors,"
    " plugin_id, plugin_invocations, custom_units, cpu_us, max_rss_bytes"
)
"""What pricing, runs and pages look at, of stored_events."""

_ADJUSTMENTS: Final = """
SELECT
    account_id, event_id, sum(model_usd), sum(plugin_usd), sum(resource_usd),
    countIf(model_usd != 0) > 0, countIf(plugin_usd != 0) > 0
FROM stored_adjustments FINAL
WHERE account_id IN {accounts:Array(String)} AND event_id IN {ids:Array(UUID)}
  AND id_time >= fromUnixTimestamp64Milli({first:Int64}, 'UTC')
  AND id_time <= fromUnixTimestamp64Milli({last:Int64}, 'UTC')
  AND reprice_id IN (SELECT reprice_id FROM stored_reprices WHERE step >= 2)
GROUP BY account_id, event_id
"""


@dataclass(frozen=True)
class Priced:
    """An event's row, and what it costs. Amounts are US dollars, exact."""

    row: Row
    charge: Charge
    adjusted: Adjusted

    @property
    def model_source(self) -> Source:
        """How the call's cost is known. Once re-rating has priced a call without a price, it has one."""
        source = self.charge.model.source
        return "priced" if source == "unpriced" and self.adjusted[3] else source

    @property
    def plugin_source(self) -> Source:
        """The same for units of a plugin."""
        source = self.charge.plugin.source
        return "priced" if source == "unpriced" and self.adjusted[4] else source

    @property
    def cost_source(self) -> Source:
        """How the event's cost is known: the word of its parts, `mixed` where they differ."""
        words: set[Source] = {self.model_source, self.plugin_source, self.charge.resources.source} - {"none"}
        return "mixed" if len(words) > 1 else next(iter(words), "none")

    @property
    def adjusted_usd(self) -> Decimal:
        """What re-rating added."""
        return total(self.adjusted[:3])

    @property
    def cost_usd(self) -> Decimal:
        """All that is known of the cost."""
        return total([*(part.cost for part in self.charge.parts), self.adjusted_usd])


def priced(clickhouse: ClickHouse, books: Books, rows: Sequence[Row], sheets: Sheets | None = None) -> list[Priced]:
    """The rows, each with its cost, in order. A row has COLUMNS; its times are UTC, bare, as the driver has them.

    `sheets` is the current book where the caller has it already."""
    if not rows:
        return []
    sheets = sheets or books.current(clickhouse)
    names = {(row["provider"], row["model"]) for row in rows if row["usage_type"]}
    names |= {(PLUGIN, row["plugin_id"]) for row in rows} | {(RESOURCE, "")}
    books.read(clickhouse, sheets, names)
    adjusted = _adjustments(clickhouse, rows) if sheets.book.has_adjustments else {}
    return [_priced(row, sheets, adjusted.get((row["account_id"], row["event_id"]), _NONE)) for row in rows]


def _priced(row: Row, sheets: Sheets, adjusted: Adjusted) -> Priced:
    event = _event(row)
    account, at, arrived = row["account_id"], row["occurred_at"], row["arrived_at"]
    ai = event.ai
    prices = Prices(
        fitting(sheets.of(account, (ai.provider, ai.model)), Use(at, arrived, ai.service_tier, call_size(ai)))
        if ai
        else None,
        fitting(sheets.of(account, (PLUGIN, row["plugin_id"])), Use(at, arrived)),
        fitting(sheets.of(account, (RESOURCE, "")), Use(at, arrived)),
    )
    return Priced(row, cost_of(event, prices), adjusted)


def _event(row: Row) -> MeterEvent:
    """What pricing looks at of an event, unchecked: it was checked when it was stored."""
    ai = None
    if row["usage_type"]:
        quality = _QUALITIES.get(row["quality"], Quality.UNKNOWN)
        ai = _with(_CALL, {name: row[name] for name in _AI} | {"quality": quality, "units": row["ai_units"]})
    http = {"requests": row["http_requests"], "bytes_out": row["http_bytes_out"], "bytes_in": row["http_bytes_in"]}
    units = {name: row[name] for name in ("plugin_id", "custom_units")} | {"invocations": row["plugin_invocations"]}
    parts = {
        "event_id": row["event_id"],
        "occurred_at": row["occurred_at"],
        "kind": _KINDS.get(row["kind"], Kind.UNKNOWN),
        "executions": row["executions"],
        "ai": ai,
        "http": _with(_HTTP, http),
        "plugin": _with(_PLUGIN, units),
        "code": _with(_CODE, {"cpu_us": row["cpu_us"]}),
    }
    return _with(_EVENT, parts)


def _with(plain: Part, members: Mapping[str, Any]) -> Part:
    return plain.model_copy(update=members)


def _adjustments(clickhouse: ClickHouse, rows: Sequence[Row]) -> dict[tuple[str, Any], Adjusted]:
    asked = {
        "accounts": sorted({row["account_id"] for row in rows}),
        "ids": [str(row["event_id"]) for row in rows],
        "first": min(_millis(row) for row in rows),
        "last": max(_millis(row) for row in rows),
    }
    found = clickhouse.rows(_ADJUSTMENTS, asked)
    return {(account, event): (*usd, bool(model), bool(plugin)) for account, event, *usd, model, plugin in found}


def _millis(row: Row) -> int:
    number: int = row["event_id"].int
    return number >> 80
