"""Plain calls of models for the tests of rollups and re-rating."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.rollups.rows import EPOCH

from taximeter_schemas.event import AiUsage, MeterEvent
from taximeter_schemas.uuid7 import compose


def calls(count: int, *, account: str = "a", run: str = "r", first: int = 0, **more: Any) -> list[MeterEvent]:
    """Some model calls of a run, a minute apart; `model` and further fields of an event may be given."""
    model = more.pop("model", "gpt-4o")
    return [
        MeterEvent(
            **{
                "account_id": account,
                "run_id": run,
                "node_id": f"n{number % 3}",
                "user_id": "ada",
                "event_id": compose(int(EPOCH.timestamp() * 1000) + number * 60_000, f"{run:_>10}".encode()),
                "occurred_at": EPOCH + timedelta(minutes=number),
                "ai": AiUsage(provider="openai", model=model, input_tokens=1000 + number, output_tokens=number),
                **more,
            }
        )
        for number in range(first, first + count)
    ]
