"""The independent count: what a correct pipeline must show for these events, computed from the events alone.

It shares no line with the pricing, the sink or the rollups, so that an error of theirs cannot hide here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Context, Decimal, Inexact
from typing import Any

from taximeter_infra.simulate.catalogue import Prices
from taximeter_schemas.event import AiUsage, MeterEvent, Quality
from taximeter_schemas.money import plain

TOKENS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "total_tokens",
)
_EXACT = Context(prec=80, traps=[Inexact])
_UNKNOWN_USE = {Quality.MISSING, Quality.UNKNOWN}
_GUESSED_USE = {Quality.ESTIMATED, Quality.PARTIAL}


@dataclass
class Tally:
    """Sums over some events; the call counts mean what the rollups' columns of the same name mean."""

    events: int = 0
    executions: int = 0
    tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TOKENS, 0))
    cost_usd: Decimal = Decimal(0)
    ai_calls: int = 0
    reported_calls: int = 0
    priced_calls: int = 0
    unpriced_calls: int = 0
    unmeasured_calls: int = 0
    estimated_calls: int = 0

    def add(self, event: MeterEvent, use: tuple[str, Decimal] | None) -> None:
        """Count one event; `use` is how its call was priced and its cost."""
        self.events += 1
        self.executions += event.executions
        if event.ai is None or use is None:
            return
        for name in TOKENS:
            self.tokens[name] += getattr(event.ai, name)
        how, cost = use
        self.ai_calls += 1
        setattr(self, f"{how}_calls", getattr(self, f"{how}_calls") + 1)
        if how in {"reported", "priced"} and event.ai.quality in _GUESSED_USE:
            self.estimated_calls += 1
        self.cost_usd = _EXACT.add(self.cost_usd, cost)

    def as_json(self) -> dict[str, Any]:
        """Flat, money as a plain decimal string."""
        flat = {name: value for name, value in vars(self).items() if name not in {"tokens", "cost_usd"}}
        return {**flat, **self.tokens, "cost_usd": plain(self.cost_usd)}


@dataclass
class Expected:
    """The count over a whole simulation, by model and by account."""

    total: Tally = field(default_factory=Tally)
    by_model: dict[tuple[str, str], Tally] = field(default_factory=dict)
    by_account: dict[str, Tally] = field(default_factory=dict)
    run_ids: set[str] = field(default_factory=set)

    def as_json(self) -> dict[str, Any]:
        """One object: `rows`, `runs`, the totals, `by_model` and `by_account`, both sorted."""
        total = self.total.as_json()
        return {
            "rows": total.pop("events"),
            "runs": len(self.run_ids),
            **total,
            "by_model": [
                {"provider": provider, "model": model, **tally.as_json()}
                for (provider, model), tally in sorted(self.by_model.items())
            ],
            "by_account": [
                {"account_id": account_id, **tally.as_json()} for account_id, tally in sorted(self.by_account.items())
            ],
        }


def expect(events: Iterable[MeterEvent], prices: Prices) -> Expected:
    """Counts the events. Every event counts, so hand over each once."""
    expected = Expected()
    for event in events:
        use = None if event.ai is None else cost_of_use(event.ai, prices)
        expected.total.add(event, use)
        expected.by_account.setdefault(event.account_id, Tally()).add(event, use)
        if event.ai is not None:
            expected.by_model.setdefault((event.ai.provider, event.ai.model), Tally()).add(event, use)
        expected.run_ids.add(event.run_id)
    return expected


def cost_of_use(ai: AiUsage, prices: Prices) -> tuple[str, Decimal]:
    """How the call is priced (reported, unmeasured, unpriced, priced) and what it costs, US dollars."""
    if ai.reported_cost is not None:
        return "reported", ai.reported_cost
    if ai.quality in _UNKNOWN_USE:
        return "unmeasured", Decimal(0)
    quantities = {
        "input_tokens": ai.input_tokens - ai.cache_read_tokens - ai.cache_write_tokens,
        "cache_read_tokens": ai.cache_read_tokens,
        "cache_write_tokens": ai.cache_write_tokens,
        "output_tokens": ai.output_tokens,
    }
    rates = prices.get((ai.provider, ai.model), {})
    cost = Decimal(0)
    for unit, quantity in quantities.items():
        if quantity:
            if unit not in rates:
                return "unpriced", Decimal(0)
            cost = _EXACT.add(cost, _EXACT.multiply(rates[unit], Decimal(quantity)))
    return "priced", cost
