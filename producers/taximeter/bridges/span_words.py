"""What a span of a model call says, in our words: a table of attribute names with its reader. Pure.

Three conventions, each with its older names: OpenTelemetry GenAI (`gen_ai.*`), OpenLLMetry (`llm.usage.*`,
`gen_ai.usage.prompt_tokens`), OpenInference (`llm.token_count.*`). All three ask that the input includes what the cache
held, and their Anthropic instrumentations add it up so; one that does not is found by its sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from taximeter.bridges.counters import is_count, whole
from taximeter.bridges.names import provider_name
from taximeter_schemas.words import UsageType

Attributes = Mapping[str, Any]

COUNTS: Mapping[str, Sequence[str]] = {
    "input_tokens": (
        "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.usage.input_tokens", "llm.usage.prompt_tokens",
        "llm.token_count.prompt",
    ),
    "output_tokens": (
        "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.usage.output_tokens",
        "llm.usage.completion_tokens", "llm.token_count.completion",
    ),
    "total_tokens": ("gen_ai.usage.total_tokens", "llm.usage.total_tokens", "llm.token_count.total"),
    "cache_read_tokens": (
        "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.cache_read_tokens", "gen_ai.usage.input_tokens.cached",
        "gen_ai.usage.details.cache_read_tokens", "llm.usage.cache_read_input_tokens",
        "llm.token_count.prompt_details.cache_read", "llm.token_count.prompt_details.cached",
    ),
    "cache_write_tokens": (
        "gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.cache_write_tokens", "gen_ai.usage.input_tokens.cache_write",
        "gen_ai.usage.details.cache_write_tokens", "llm.usage.cache_creation_input_tokens",
        "llm.token_count.prompt_details.cache_write",
    ),
    "reasoning_tokens": (
        "gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.output_tokens.reasoning", "gen_ai.usage.details.reasoning_tokens", "llm.usage.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
    ),
}  # fmt: skip
UNITS: Mapping[str, Sequence[str]] = {
    "cache_write_1h_tokens": ("gen_ai.usage.details.ephemeral_1h_input_tokens",),
    "input_audio_tokens": (
        "gen_ai.usage.details.input_audio_tokens", "llm.token_count.prompt_details.audio",
    ),
    "cache_audio_read_tokens": ("gen_ai.usage.details.cache_audio_read_tokens",),
    "output_audio_tokens": (
        "gen_ai.usage.details.output_audio_tokens", "llm.token_count.completion_details.audio",
    ),
    "web_searches": ("gen_ai.usage.details.web_search_requests",),
}  # fmt: skip
# As it was served; what was asked for is no statement of that.
SERVICE_TIER = ("openai.response.service_tier", "gen_ai.openai.response.service_tier", "gen_ai.response.service_tier")
PROVIDER = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "llm.vendor")
MODEL = (
    "gen_ai.response.model", "llm.response.model", "gen_ai.request.model", "llm.request.model", "llm.model_name",
    "embedding.model_name",
)  # fmt: skip
RESPONSE_ID = ("gen_ai.response.id", "llm.response.id", "gen_ai.response_id")

# Which attribute says what a span is, and which of its values are calls of a model. The others are sums, or no calls.
KINDS: Sequence[tuple[str, Mapping[str, UsageType]]] = (
    (
        "gen_ai.operation.name",
        {
            "chat": UsageType.TEXT, "text_completion": UsageType.TEXT, "completion": UsageType.TEXT,
            "generate_content": UsageType.TEXT, "responses": UsageType.TEXT, "embeddings": UsageType.EMBEDDING,
            "embedding": UsageType.EMBEDDING, "image_generation": UsageType.IMAGE, "transcription": UsageType.AUDIO_STT,
            "speech": UsageType.AUDIO_TTS,
        },
    ),
    ("openinference.span.kind", {"llm": UsageType.TEXT, "embedding": UsageType.EMBEDDING}),
    ("traceloop.span.kind", {"llm": UsageType.TEXT}),
    (
        "llm.request.type",
        {
            "chat": UsageType.TEXT, "completion": UsageType.TEXT, "embedding": UsageType.EMBEDDING,
        },
    ),
)  # fmt: skip


def usage_type_of(attributes: Attributes) -> UsageType | None:
    """What the model worked on; None where the span is no call of a model."""
    for name, kinds in KINDS:
        said = attributes.get(name)
        if isinstance(said, str):
            return kinds.get(said.lower())
    # Nothing says what it is: then only one that names a model and states use is taken for a call.
    return UsageType.TEXT if _first_text(attributes, MODEL) and counters_in(attributes) else None


def counters_in(attributes: Attributes) -> dict[str, int]:
    """The counters that the span states."""
    return _counts(attributes, COUNTS)


def _counts(attributes: Attributes, table: Mapping[str, Sequence[str]]) -> dict[str, int]:
    found = {}
    for word, names in table.items():
        value = next((attributes[name] for name in names if is_count(attributes.get(name))), None)
        if value is not None:
            found[word] = value
    return found


def words_of(attributes: Attributes, usage_type: UsageType) -> dict[str, Any]:
    """The keywords of `node.ai(...)`, without what is not stated."""
    words: dict[str, Any] = {
        "provider": provider_name(_first_text(attributes, PROVIDER)),
        "model": _first_text(attributes, MODEL),
        "usage_type": usage_type,
        "response_id": _first_text(attributes, RESPONSE_ID),
        "service_tier": _first_text(attributes, SERVICE_TIER),
        "units": {unit: count for unit, count in _counts(attributes, UNITS).items() if count} or None,
        **whole(counters_in(attributes)),
    }
    return {name: value for name, value in words.items() if value is not None}


def _first_text(attributes: Attributes, names: Sequence[str]) -> str | None:
    return next((value for name in names if isinstance(value := attributes.get(name), str) and value), None)
