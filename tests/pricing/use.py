"""Random uses for the tests of prices: contradictions, huge and negative counts, every tier, window and part."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

from tests.rollups.rows import EPOCH

from taximeter_consumers.pricing.cards import compile_book
from taximeter_consumers.pricing.price import Prices, call_size
from taximeter_consumers.pricing.rate import Discount, Rate
from taximeter_consumers.pricing.series import Card, Use, fitting
from taximeter_schemas.event import (
    AiUsage,
    CodeUsage,
    HttpUsage,
    Kind,
    MeterEvent,
    Outcome,
    PluginUsage,
    Quality,
    UsageType,
)
from taximeter_schemas.uuid7 import compose

START = datetime(2026, 1, 1, tzinfo=UTC)
CHANGE = datetime(2026, 6, 1, 12, 0, 0, 1, tzinfo=UTC)
LEARNED = EPOCH + timedelta(seconds=3)
"""Between the arrival of the third and of the fourth batch of the tests' own sink."""
PRICE = Decimal("0.000000123456789123")


def lab(unit: str, price: Decimal | None, since: datetime = START, **more: object) -> Rate:
    """A rate of the model that changes."""
    return Rate("lab", "changing", unit, price, since, "test", **more)  # type: ignore[arg-type]  # any field


BOOK = [
    lab("input_tokens", PRICE),
    lab("output_tokens", PRICE * 3),
    lab("cache_read_tokens", PRICE * 5),
    lab("input_audio_tokens", PRICE * 7),
    lab("web_searches", Decimal("0.01")),
    lab("requests", Decimal("0.000001")),
    lab("input_tokens", PRICE * 2, CHANGE),
    lab("output_tokens", None, CHANGE + timedelta(days=1)),
    lab("input_tokens", PRICE * 11, above_input_tokens=200_000),
    lab("output_tokens", PRICE * 13, above_input_tokens=200_000),
    lab("input_tokens", PRICE * 29, service_tier="batch"),
    lab("output_tokens", PRICE * 17, window_start=1_800, window_end=59_400),
    lab("input_tokens", PRICE * 19, START, known_from=LEARNED),
    lab("input_tokens", PRICE * 23, account_id="own"),
    Rate("lab", "images-only", "images", Decimal("0.04"), START, "test"),
    Rate("plugin", "ocr", "page", Decimal("0.000000007"), START, "test"),
    Rate("plugin", "ocr", "plugin_invocations", Decimal("0.002"), CHANGE, "test"),
    Rate("resource", "", "cpu_us", Decimal("0.000000000277777778"), START, "test"),
    Rate("resource", "", "http_bytes_in", Decimal("0.00000000009"), START, "test"),
    Rate("resource", "", "executions", Decimal("0.0001"), CHANGE, "test", account_id="own"),
]
DISCOUNTS = [
    Discount("reduced", Decimal("12.5"), valid_from=CHANGE),
    Discount("reduced", Decimal(50), "lab", "images-only"),
]
PAIRS = [("lab", "changing"), ("lab", "images-only"), ("nobody", "knows"), ("", "")]
ACCOUNTS = ["plain", "own", "reduced"]
MOMENTS = [
    START - timedelta(microseconds=1),
    CHANGE - timedelta(microseconds=1),
    CHANGE,
    CHANGE + timedelta(days=1),
    CHANGE + timedelta(days=2, hours=6),
    EPOCH,
]
_COUNTS = [0, 0, 0, 1, 17, 12_345, 199_999, 200_000, 200_001, 2_000_000, 2**53 + 1, 2**63 - 1]
_COUNTERS = ["input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "audio_ms"]
_UNITS = [
    "cache_write_1h_tokens",
    "input_audio_tokens",
    "cache_audio_read_tokens",
    "web_searches",
    "requests",
    "unheard_of",
]


def random_event(random: Random, number: int) -> MeterEvent:
    """Any use of anything."""
    return MeterEvent(
        account_id=random.choice(ACCOUNTS),
        event_id=compose(int(EPOCH.timestamp() * 1000) + number, random.randbytes(10)),
        occurred_at=random.choice(MOMENTS),
        kind=random.choice([Kind.NODE, Kind.USAGE, Kind.ADJUSTMENT]),
        outcome=random.choice(list(Outcome)),
        executions=random.choice([0, 1]),
        ai=random.choice([None, _call(random), _call(random), _call(random)]),
        plugin=random.choice([None, None, _plugin(random)]),
        http=random.choice([None, HttpUsage(requests=2, bytes_in=random.choice(_COUNTS))]),
        code=random.choice([None, CodeUsage(cpu_us=random.choice(_COUNTS))]),
    )


def _call(random: Random) -> AiUsage:
    sign = random.choice([1, 1, 1, -1])
    provider, model = random.choice(PAIRS)
    small = _COUNTS[: random.choice([3, 5, len(_COUNTS)])]
    return AiUsage(
        provider=provider,
        model=model,
        usage_type=random.choice(list(UsageType)),
        images=random.choice([0, 0, 0, 3]),
        reported_cost=random.choice([None] * 5 + [Decimal(0), Decimal("0.000000000001"), Decimal(10) ** 20]),
        quality=random.choice(list(Quality)),
        service_tier=random.choice(["", "standard", "batch", "priority"]),
        units={name: sign * random.choice(small) for name in random.sample(_UNITS, random.choice([0, 0, 1, 3]))},
        **{name: sign * random.choice(small if random.random() < 0.6 else [0]) for name in _COUNTERS},
    )


def _plugin(random: Random) -> PluginUsage:
    units = {unit: Decimal(random.choice([0, 1, 10**12])).scaleb(-3) for unit in random.sample(["page", "word"], 1)}
    return PluginUsage(
        plugin_id=random.choice(["ocr", "unpriced"]), invocations=random.choice([0, 1, 5]), custom_units=units
    )


_SERIES = compile_book([(*pair, *pair) for pair in PAIRS], BOOK, DISCOUNTS)


def prices_of(event: MeterEvent, arrived_at: datetime) -> Prices:
    """The cards of the tests' own book that hold for an event, by the Python rule."""

    def card(provider: str, model: str, tier: str = "", tokens: int = 0) -> Card | None:
        entries = _SERIES.get((event.account_id, provider, model), _SERIES.get(("", provider, model), ()))
        return fitting(entries, Use(event.occurred_at, arrived_at, tier, tokens))

    ai = event.ai
    return Prices(
        card(ai.provider, ai.model, ai.service_tier, call_size(ai)) if ai else None,
        card("plugin", event.plugin.plugin_id) if event.plugin else None,
        card("resource", ""),
    )
