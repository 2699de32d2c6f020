"""What the simulated executors have: accounts, workflows, nodes, and the models that they call.

The list prices are those of the price book's default on the day this was written, for the independent count; a test
holds the two together. None: nobody knows a price for the model, on purpose.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

from taximeter_schemas.errors import Misconfigured

Prices = Mapping[tuple[str, str], Mapping[str, Decimal]]
"""US dollars for one unit, by (provider, model) as in the events, then by unit."""


@dataclass(frozen=True)
class Model:
    """A model, how often it is taken, what it can do, and its list price in US dollars for a million tokens."""

    provider: str
    name: str
    weight: int
    per_million: Mapping[str, str] | None
    reasons: bool = False
    writes_cache: bool = False
    embeds: bool = False

    @property
    def reads_cache(self) -> bool:
        """Whether the provider bills cached input apart."""
        return self.per_million is None or "cache_read_tokens" in self.per_million


def _priced(input_tokens: str, output_tokens: str, **cache: str) -> dict[str, str]:
    return {"input_tokens": input_tokens, "output_tokens": output_tokens, **cache}


MODELS = (
    Model("openai", "gpt-4o-mini-2024-07-18", 30, _priced("0.15", "0.6", cache_read_tokens="0.075")),
    Model("openai", "gpt-4o", 18, _priced("2.5", "10", cache_read_tokens="1.25")),
    Model("openai", "o4-mini", 8, _priced("1.1", "4.4", cache_read_tokens="0.275"), reasons=True),
    Model(
        "anthropic",
        "claude-sonnet-4-5-20250929",
        16,
        _priced("3", "15", cache_read_tokens="0.3", cache_write_tokens="3.75"),
        writes_cache=True,
    ),
    Model(
        "anthropic",
        "claude-haiku-4-5-20251001",
        10,
        _priced("1", "5", cache_read_tokens="0.1", cache_write_tokens="1.25"),
        writes_cache=True,
    ),
    Model("google", "gemini-2.5-flash", 10, _priced("0.3", "2.5", cache_read_tokens="0.03"), reasons=True),
    Model("openai", "text-embedding-3-small", 6, {"input_tokens": "0.02"}, embeds=True),
    Model("inhouse", "ledger-reasoner-preview", 2, None, reasons=True),
)

WORKFLOWS = (
    "invoice-triage",
    "support-reply",
    "contract-review",
    "lead-scoring",
    "weekly-digest",
    "catalogue-enrichment",
    "fraud-screening",
    "onboarding",
)

# Node type, how often it is taken, and the names of its nodes.
NODES = (
    ("ai", 55, ("classify", "extract", "draft", "summarise", "rank", "answer", "critique", "translate")),
    ("http", 20, ("fetch-order", "lookup-customer", "post-ticket", "search-web")),
    ("code", 13, ("normalise", "join-tables", "score", "render")),
    ("plugin", 8, ("ocr", "send-mail", "geocode")),
    ("condition", 4, ("route", "gate")),
)

PLUGIN_UNITS = {"ocr": "pages", "send-mail": "messages", "geocode": "lookups"}
AGENTS = ("", "", "researcher", "writer", "reviewer")
TEAMS = ("finance", "support", "growth", "platform")


def list_prices() -> Prices:
    """The list prices per token. Models without one are left out."""
    million = Decimal(1_000_000)
    return {
        (model.provider, model.name): {unit: Decimal(usd) / million for unit, usd in model.per_million.items()}
        for model in MODELS
        if model.per_million is not None
    }


def read_prices(path: Path) -> Prices:
    """Prices per unit out of JSON: `{"provider/model": {"input_tokens": "0.0000025"}}`. Raises Misconfigured."""
    try:
        given = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        return {
            (provider, model): {unit: Decimal(usd) for unit, usd in units.items()}
            for name, units in given.items()
            for provider, _, model in [name.partition("/")]
        }
    except (OSError, ValueError, AttributeError, TypeError, InvalidOperation) as error:
        why = error.strerror if isinstance(error, OSError) else "not JSON of that form"
        raise Misconfigured(
            f"the prices in {path} cannot be read: {why}",
            mend='write them as {"provider/model": {"input_tokens": "0.0000025"}}',
        ) from error
