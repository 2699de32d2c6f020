"""What the API's tests ask about: two tenants with re-rated use, a tree of runs, hostile names, and invoices."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tests.queries import use as days
from tests.rollups.rows import EPOCH, Sink

from taximeter_consumers.billing import Request, close_periods
from taximeter_consumers.clickhouse import ClickHouse
from taximeter_consumers.rollups import tick
from taximeter_schemas.event import AiUsage, MeterEvent, Outcome, PluginUsage, Quality
from taximeter_schemas.uuid7 import compose

MINE, RIVAL = "acme-0", "rival"
MARK = "rival"
"""Every name of the rival's has this in it, and no other name has."""
FORMULAS = ("=1+1", "+SUM(A1)", "-2+3", "@cmd", "\t=tab", " =space", "＝wide", "plain")
TREE = "tree"
_ids = 0


def event(account: str, run: str, node: str, *, parent: str = "", attempt: int = 1, **more: object) -> MeterEvent:
    """An event, a second after the one before."""
    global _ids
    _ids += 1
    at = EPOCH + timedelta(hours=2, seconds=_ids)
    fields: dict[str, object] = {
        "account_id": account,
        "run_id": run,
        "parent_run_id": parent,
        "node_id": node,
        "node_type": "ai",
        "attempt": attempt,
        "user_id": "ada",
        "workflow_id": "triage",
        "project_id": "blue",
        "event_id": compose(int(at.timestamp() * 1000), _ids.to_bytes(10, "big")),
        "occurred_at": at,
        "duration_us": 250_000,
        "ai": AiUsage(provider="openai", model="gpt-4o", input_tokens=1000, output_tokens=70, quality=Quality.REPORTED),
    }
    return MeterEvent(**{**fields, **more})  # type: ignore[arg-type]  # each of its own type


def tree() -> Iterator[MeterEvent]:
    """A run with a sub-run, which has one itself; a node that failed and was tried again; one run is its own parent."""
    yield event(MINE, TREE, "plan")
    yield event(MINE, TREE, "write", outcome=Outcome.ERROR, error_message="too long")
    yield event(MINE, TREE, "write", attempt=2, tags={"external_id": "order-7"})
    unknown = AiUsage(provider="house", model="llm-9", input_tokens=5, quality=Quality.REPORTED)
    yield event(MINE, TREE, "write", attempt=2, executions=0, ai=unknown)
    yield event(MINE, "below", "search", parent=TREE, outcome=Outcome.TIMEOUT)
    pages = PluginUsage(plugin_id="ocr", invocations=2, custom_units={"page": Decimal("2.5")})
    yield event(MINE, "lowest", "read", parent="below", ai=None, plugin=pages)
    yield event(MINE, "loop", "spin", parent="loop")
    # The same id elsewhere.
    yield event(RIVAL, TREE, f"{MARK}-node", user_id=f"{MARK}-ada", workflow_id=f"{MARK}-flow")


def rivals() -> Iterator[MeterEvent]:
    """Use whose every name tells on it."""
    call = AiUsage(provider="openai", model=f"{MARK}-model", input_tokens=10, quality=Quality.ESTIMATED)
    for number in range(12):
        yield event(
            RIVAL,
            f"{MARK}-run-{number % 3}",
            f"{MARK}-node",
            node_type=f"{MARK}-type",
            user_id=f"{MARK}-user",
            workflow_id=f"{MARK}-flow",
            project_id=f"{MARK}-project",
            transaction_id=f"{MARK}-transaction",
            tags={"external_id": f"{MARK}-external"},
            **({"ai": call} if number % 2 else {}),
        )


def formulas() -> Iterator[MeterEvent]:
    """Users whose names a spreadsheet would run."""
    for name in FORMULAS:
        yield event(MINE, "formulas", "cell", user_id=name, workflow_id="sums")


def fill(clickhouse: ClickHouse) -> None:
    """Stores, rolls up, re-rates and bills all of it."""
    days.fill(clickhouse)
    sink = Sink(clickhouse, offset=10_000, batches=1_000)
    sink.store([*tree(), *rivals(), *formulas()])
    tick(clickhouse)
    report = close_periods(clickhouse, Request(), datetime(2026, 12, 3, tzinfo=UTC))
    assert len(report.issued) == 3, report
