"""The rollups as forty lines of Python: sums in dictionaries over the events that count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.rollups.rows import row_of

from taximeter_consumers.pricing.book import Rate
from taximeter_consumers.pricing.match import match
from taximeter_consumers.pricing.price import RateCard, cost_of
from taximeter_consumers.rollups.definitions import OUTCOMES, SUMMED
from taximeter_schemas.event import MeterEvent
from taximeter_schemas.uuid7 import birth_of

Rows = dict[tuple[Any, ...], dict[str, Any]]


def card_at(rates: Sequence[Rate], provider: str, model: str, moment: datetime) -> RateCard | None:
    """The prices of a model as an event names it, at an instant."""
    name = match(provider, model, {(rate.provider, rate.model) for rate in rates})
    valid = [rate for rate in rates if (rate.provider, rate.model) == name and rate.valid_from <= moment]
    latest = {rate.unit: rate.usd_per_unit for rate in sorted(valid, key=lambda rate: rate.valid_from)}
    return RateCard({unit: price for unit, price in latest.items() if price is not None}) if valid else None


def counted(arrived: Iterable[MeterEvent]) -> list[MeterEvent]:
    """Each event once: of its copies the first that arrived."""
    first: dict[Any, MeterEvent] = {}
    for event in arrived:
        first.setdefault((event.account_id, event.event_id), event)
    return list(first.values())


def rollup(events: Iterable[MeterEvent], rates: Sequence[Rate], key: str) -> Rows:
    """The measures per key of one rollup."""
    rows: Rows = {}
    for event in events:
        hour, minute = event.occurred_at.replace(minute=0, second=0), event.occurred_at.replace(second=0)
        ai, account = event.ai, event.account_id
        if key == "model_costs" and ai is None:
            continue
        keys = {
            "run_costs": (account, event.run_id),
            "node_costs": (account, event.run_id, event.node_id),
            "model_costs": (
                account,
                hour.replace(microsecond=0),
                *((ai.provider, ai.model, str(ai.usage_type)) if ai else ()),
            ),
            "usage_by_subject": (account, minute.replace(microsecond=0), event.user_id, event.project_id),
        }
        add(
            rows.setdefault(keys[key], {}),
            event,
            card_at(rates, ai.provider, ai.model, event.occurred_at) if ai else None,
        )
    return rows


def add(row: dict[str, Any], event: MeterEvent, card: RateCard | None) -> None:
    """Counts one event into a row."""
    stored, charge = row_of(event), cost_of(event, card)
    has_cost = charge.source in ("reported", "priced")
    more = {name: stored[name] for name in SUMMED} | {
        column: event.executions if event.outcome == outcome else 0 for column, outcome in OUTCOMES
    }
    more |= {"events": 1, "cost_usd": charge.cost, "ai_calls": int(event.ai is not None)}
    more |= {
        f"{source}_calls": int(charge.source == source) for source in ("reported", "priced", "unpriced", "unmeasured")
    }
    more["estimated_calls"] = int(has_cost and stored["quality"] in ("estimated", "partial"))
    for name, amount in more.items():
        row[name] = row.get(name, 0) + amount
    row["max_rss_bytes"] = max(row.get("max_rss_bytes", stored["max_rss_bytes"]), stored["max_rss_bytes"])
    units = row.setdefault("custom_units", {})
    for unit, amount in stored["custom_units"].items():
        units[unit] = units.get(unit, Decimal(0)) + amount


def run_attributes(events: Iterable[MeterEvent]) -> dict[tuple[str, str], tuple[Any, ...]]:
    """What is copied onto a run: from its earliest event, by the id's clock and then as ClickHouse orders UUIDs."""

    def age(event: MeterEvent) -> tuple[datetime, int, int]:
        number = event.event_id.int
        return birth_of(event.event_id), number & (2**64 - 1), number >> 64

    rows: dict[tuple[str, str], tuple[Any, ...]] = {}
    for event in sorted(events, key=age):
        began = event.occurred_at - timedelta(microseconds=max(event.duration_us, 0))
        born = birth_of(event.event_id)
        seen = rows.get((event.account_id, event.run_id), (event.user_id, event.workflow_id, began, born, born))
        rows[event.account_id, event.run_id] = (*seen[:2], min(seen[2], began), min(seen[3], born), max(seen[4], born))
    return rows
