"""What a simulated node attempt uses: one draw for each node type, and how the attempt ends."""

from __future__ import annotations

from decimal import Decimal
from itertools import accumulate
from random import Random

from taximeter_infra.simulate.catalogue import MODELS, PLUGIN_UNITS, Model
from taximeter_schemas.event import AiUsage, CodeUsage, HttpUsage, Outcome, PluginUsage, Quality, UsageType
from taximeter_schemas.money import REPORTED_COST_SCALE

_MODEL_WEIGHTS = tuple(accumulate(model.weight for model in MODELS))
# Far below any price tier that starts at a length of the context.
_MOST_INPUT_TOKENS = 60_000
_MOST_OUTPUT_TOKENS = 8_000

_QUALITIES = (Quality.REPORTED, Quality.ESTIMATED, Quality.MEASURED, Quality.PARTIAL, Quality.MISSING, Quality.UNKNOWN)
_QUALITY_WEIGHTS = tuple(accumulate((92, 3, 2, 1, 1.6, 0.4)))

_MESSAGES = {
    Outcome.ERROR: ("upstream answered 503", "rate limited by the provider", "the answer is not valid JSON"),
    Outcome.TIMEOUT: ("no answer within the deadline",),
    Outcome.CANCELLED: ("cancelled by the user",),
}


def draw_outcome(rng: Random) -> Outcome:
    """How an attempt ends; cancellation is the run's affair."""
    lot = rng.random()
    if lot < 0.93:
        return Outcome.SUCCESS
    return Outcome.ERROR if lot < 0.98 else Outcome.TIMEOUT


def draw_message(rng: Random, outcome: Outcome) -> str:
    """An error message that goes with the outcome, empty for success."""
    return rng.choice(_MESSAGES[outcome]) if outcome in _MESSAGES else ""


def draw_model(rng: Random) -> Model:
    """A model by its weight."""
    return rng.choices(MODELS, cum_weights=_MODEL_WEIGHTS)[0]


def draw_ai(rng: Random, outcome: Outcome) -> AiUsage:
    """One model's use. A failed call has no output, and half of the time nobody knows what it used."""
    model = draw_model(rng)
    quality = rng.choices(_QUALITIES, cum_weights=_QUALITY_WEIGHTS)[0]
    if outcome is not Outcome.SUCCESS and rng.random() < 0.5:
        quality = Quality.MISSING
    if quality is Quality.MISSING:
        usage_type = UsageType.EMBEDDING if model.embeds else UsageType.TEXT
        cost = _reported_cost(rng, 0.2)
        return AiUsage(
            provider=model.provider, model=model.name, usage_type=usage_type, quality=quality, reported_cost=cost
        )
    input_tokens = min(_MOST_INPUT_TOKENS, 1 + int(rng.lognormvariate(6.6, 1.1)))
    silent = model.embeds or outcome is not Outcome.SUCCESS
    output_tokens = 0 if silent else min(_MOST_OUTPUT_TOKENS, 1 + int(rng.lognormvariate(5.0, 1.0)))
    return ai_of(rng, model, (input_tokens, output_tokens), quality)


def ai_of(rng: Random, model: Model, tokens: tuple[int, int], quality: Quality) -> AiUsage:
    """The use of `tokens` (input, output), with cache and reasoning drawn as parts of them."""
    input_tokens, output_tokens = tokens
    cached = written = reasoned = 0
    if model.reads_cache and rng.random() < 0.35:
        cached = int(input_tokens * rng.uniform(0.2, 0.9))
    if model.writes_cache and rng.random() < 0.2:
        written = int((input_tokens - cached) * rng.uniform(0.3, 1.0))
    if model.reasons:
        reasoned = int(output_tokens * rng.uniform(0.1, 0.8))
    return AiUsage(
        provider=model.provider,
        model=model.name,
        usage_type=UsageType.EMBEDDING if model.embeds else UsageType.TEXT,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=reasoned,
        total_tokens=input_tokens + output_tokens,
        response_id=f"resp_{rng.getrandbits(64):016x}",
        reported_cost=_reported_cost(rng, 0.04),
        quality=quality,
    )


def draw_http(rng: Random, outcome: Outcome) -> HttpUsage:
    """A few requests; a failed attempt ended with an answer that was an error."""
    requests = 1 if rng.random() < 0.8 else rng.randint(2, 5)
    return HttpUsage(
        requests=requests,
        bytes_out=requests * rng.randint(180, 4_000),
        bytes_in=requests * int(rng.lognormvariate(8.5, 1.2)),
        errors=0 if outcome is Outcome.SUCCESS else 1,
    )


def draw_code(rng: Random, duration_us: int) -> CodeUsage:
    """A process that was busy for a part of its time."""
    return CodeUsage(cpu_us=int(duration_us * rng.uniform(0.05, 0.98)), max_rss_bytes=rng.randint(12, 700) << 20)


def draw_plugin(rng: Random, name: str) -> PluginUsage:
    """A plugin that counts in units of its own."""
    amount = Decimal(rng.randint(1, 40_000)).scaleb(-3)
    return PluginUsage(
        plugin_id=f"acme.{name}", invocations=rng.randint(1, 3), custom_units={PLUGIN_UNITS[name]: amount}
    )


def _reported_cost(rng: Random, chance: float) -> Decimal | None:
    if rng.random() >= chance:
        return None
    return Decimal(rng.randrange(1, 20_000_000_000)).scaleb(-REPORTED_COST_SCALE)
