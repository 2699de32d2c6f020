"""The rollups as a hundred lines of Python: sums in dictionaries over the events that count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.rollups.book import prices_of
from tests.rollups.rows import row_of

from taximeter_consumers.pricing.price import NOTHING, Charge, cost_of
from taximeter_consumers.pricing.rate import Rate
from taximeter_consumers.rollups.definitions import OUTCOMES, QUOTA_MEASURES, SUMMED
from taximeter_schemas.event import Context, MeterEvent, Outcome
from taximeter_schemas.uuid7 import birth_of

Rows = dict[tuple[Any, ...], dict[str, Any]]
QUOTAS = ("quota_usage", "transaction_usage")


def counted(arrived: Iterable[MeterEvent]) -> list[MeterEvent]:
    """Each event once: of its copies the first that arrived."""
    first: dict[Any, MeterEvent] = {}
    for event in arrived:
        first.setdefault((event.account_id, event.event_id), event)
    return list(first.values())


def rollup(events: Iterable[MeterEvent], rates: Sequence[Rate], key: str) -> Rows:
    """The measures per key of one rollup."""
    rows: Rows = {}
    events = list(events)
    last: dict[tuple[str, ...], int] = {}
    for event in events:
        node = (event.account_id, event.run_id, event.node_id)
        last[node] = max(last.get(node, event.attempt), event.attempt)
    for event in events:
        charge, ai = cost_of(event, prices_of(event, rates)), event.ai
        if key == "charges":
            charge_lines(rows, event, charge)
            continue
        if key == "model_costs":
            if ai is None:
                continue
            charge = replace(charge, plugin=NOTHING, resources=NOTHING)
        if key in QUOTAS:
            if event.context is not Context.SYSTEM and (key == "quota_usage" or event.transaction_id):
                add_quota(rows.setdefault(key_of(event, key), {}), event, charge)
            continue
        row = rows.setdefault(key_of(event, key), {})
        add(row, event, charge)
        if key in ("run_costs", "node_costs"):
            spend(row, event, charge, is_last=event.attempt >= last[event.account_id, event.run_id, event.node_id])
    return rows


def key_of(event: MeterEvent, key: str) -> tuple[Any, ...]:
    """The key of an event's row."""
    minute = event.occurred_at.replace(second=0, microsecond=0)
    ai, account = event.ai, event.account_id
    quality = str(ai.quality) if ai else ""
    keys = {
        "run_costs": (account, event.run_id),
        "node_costs": (account, event.run_id, event.node_id),
        "model_costs": (
            account,
            minute.replace(minute=0),
            *((ai.provider, ai.model, str(ai.usage_type)) if ai else ()),
        ),
        "usage_by_subject": (
            account,
            minute,
            event.user_id,
            event.project_id,
            event.workflow_id,
            str(event.context),
            quality,
        ),
        "quota_usage": (account, minute, event.project_id, event.user_id, event.tags.get("key_id", "")),
        "transaction_usage": (account, event.transaction_id, minute),
    }
    return keys[key]


def charge_lines(rows: Rows, event: MeterEvent, charge: Charge) -> None:
    """Counts the lines of one event's charge."""
    quarter = event.occurred_at.replace(minute=event.occurred_at.minute // 15 * 15, second=0, microsecond=0)
    of_event = (event.account_id, quarter, str(event.context), event.workflow_id)
    tier = event.ai.service_tier if event.ai else ""
    for line in charge.lines:
        key = (*of_event, line.provider, line.model, line.unit, tier, line.source, line.usd_per_unit)
        row = rows.setdefault(key, {"events": 0, "quantity": Decimal(0), "cost_usd": Decimal(0)})
        row["events"] += 1
        row["quantity"] += line.quantity
        row["cost_usd"] += line.amount


def add(row: dict[str, Any], event: MeterEvent, charge: Charge) -> None:
    """Counts one event into a row."""
    stored, source = row_of(event), charge.model.source
    more = {name: stored[name] for name in SUMMED} | {
        column: event.executions if event.outcome == outcome else 0 for column, outcome in OUTCOMES
    }
    guessed = stored["quality"] in ("estimated", "partial")
    more |= {"events": 1, "cost_usd": charge.cost, "ai_calls": int(event.ai is not None), "adjusted_cost_usd": 0}
    parts = {"model": charge.model, "plugin": charge.plugin, "resource": charge.resources}
    more |= {f"{part}_cost_usd": told.cost for part, told in parts.items()}
    more |= {f"{word}_calls": int(source == word) for word in ("reported", "priced", "unpriced", "unmeasured")}
    more["reported_cost_usd"] = charge.model.cost if source == "reported" else 0
    more["estimated_cost_usd"] = charge.model.cost if guessed else 0
    more["estimated_calls"] = int(source in ("reported", "priced") and guessed)
    more["plugin_uses"] = int(charge.plugin.source != "none")
    more["unpriced_plugins"] = int(charge.plugin.source == "unpriced")
    for name, amount in more.items():
        row[name] = row.get(name, 0) + amount
    row["max_rss_bytes"] = max(row.get("max_rss_bytes", stored["max_rss_bytes"]), stored["max_rss_bytes"])
    for name in ("custom_units", "ai_units"):
        units = row.setdefault(name, {})
        for unit, amount in stored[name].items():
            units[unit] = units.get(unit, 0) + amount


def add_quota(row: dict[str, Any], event: MeterEvent, charge: Charge) -> None:
    """Counts one event as limits do."""
    counted: dict[str, Any] = {}
    add(counted, event, charge)
    counted["code_us"] = event.duration_us if event.node_type == "code" else 0
    counted["http_bytes"] = counted["http_bytes_out"] + counted["http_bytes_in"]
    for name, _ in QUOTA_MEASURES:
        if name != "custom_units":
            row[name] = row.get(name, 0) + counted[name]
    units = row.setdefault("custom_units", {})
    for unit, amount in counted["custom_units"].items():
        units[unit] = units.get(unit, 0) + amount


def spend(row: dict[str, Any], event: MeterEvent, charge: Charge, *, is_last: bool) -> None:
    """Says where an event's cost went."""
    failed = event.outcome in (Outcome.ERROR, Outcome.TIMEOUT)
    where = "useful"
    if event.outcome is Outcome.CANCELLED:
        where = "cancelled"
    elif not is_last:
        where = "retried"
    elif failed:
        where = "failed"
    for word in ("useful", "retried", "failed", "cancelled"):
        row[f"{word}_cost_usd"] = row.get(f"{word}_cost_usd", Decimal(0)) + (charge.cost if word == where else 0)


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
