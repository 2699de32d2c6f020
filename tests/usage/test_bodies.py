"""What each provider documents, beyond what was recorded: one body a case, written from the documentation."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from taximeter.usage import Usage, read_usage


def read(host: str | None, path: str | None, body: object, **more: Any) -> Usage | None:
    """Read a body given as an object."""
    return read_usage(host=host, path=path, body=json.dumps(body).encode(), **more)


def chat(usage: dict[str, Any], model: str = "m") -> dict[str, Any]:
    """A chat completion with this usage."""
    return {"id": "c1", "object": "chat.completion", "model": model, "choices": [{"index": 0}], "usage": usage}


CHAT = "/v1/chat/completions"
CASES: dict[str, tuple[str | None, str, dict[str, Any], dict[str, Any]]] = {
    "openai cache writes": (
        "api.openai.com", CHAT,
        chat({"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105,
              "prompt_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 70}}),
        {"input_tokens": 100, "output_tokens": 5, "cache_read_tokens": 20, "cache_write_tokens": 70},
    ),
    "openai transcription by length": (
        "api.openai.com", "/v1/audio/transcriptions", {"text": "hi", "usage": {"type": "duration", "seconds": 3}},
        {"audio_ms": 3000, "usage_type": "audio_stt", "input_tokens": None},
    ),
    "openai transcription by tokens": (
        "api.openai.com", "/v1/audio/transcriptions",
        {"text": "hi", "usage": {"type": "tokens", "input_tokens": 14, "output_tokens": 45, "total_tokens": 59,
                                 "input_token_details": {"text_tokens": 0, "audio_tokens": 14}}},
        {"input_tokens": 14, "output_tokens": 45, "total_tokens": 59, "usage_type": "audio_stt"},
    ),
    "openai images": (
        "api.openai.com", "/v1/images/generations",
        {"created": 1, "data": [{"b64_json": "x"}, {"b64_json": "y"}],
         "usage": {"input_tokens": 50, "output_tokens": 4160, "total_tokens": 4210,
                   "input_tokens_details": {"text_tokens": 50, "image_tokens": 0}}},
        {"input_tokens": 50, "output_tokens": 4160, "images": 2, "usage_type": "image"},
    ),
    "openai realtime": (
        "api.openai.com", "/v1/realtime",
        {"type": "response.done", "event_id": "e", "response": {"id": "resp_1", "status": "completed", "usage": {
            "total_tokens": 30, "input_tokens": 20, "output_tokens": 10,
            "input_token_details": {"cached_tokens": 8, "audio_tokens": 12,
                                    "cached_tokens_details": {"text_tokens": 3, "audio_tokens": 5}}}}},
        {"units": {"input_audio_tokens": 12, "cache_audio_read_tokens": 5},
         "input_tokens": 20, "output_tokens": 10, "cache_read_tokens": 8, "response_id": "resp_1"},
    ),
    "azure names the deployment": (
        "x.openai.azure.com", "/openai/deployments/my%20gpt/embeddings",
        {"object": "list", "data": [{"embedding": [0.1]}], "usage": {"prompt_tokens": 4, "total_tokens": 4}},
        {"provider": "azure", "model": "my gpt", "usage_type": "embedding", "input_tokens": 4, "output_tokens": None},
    ),
    "anthropic cache": (
        "api.anthropic.com", "/v1/messages",
        {"id": "msg_1", "type": "message", "model": "claude", "content": [], "usage": {
            "input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 30,
            "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}}},
        {"input_tokens": 1040, "output_tokens": 5, "cache_read_tokens": 1000, "cache_write_tokens": 30,
         "details": {"cache_write_5m_tokens": 10, "cache_write_1h_tokens": 20},
         "units": {"cache_write_1h_tokens": 20}},
    ),
    "gemini thoughts and tools": (
        "generativelanguage.googleapis.com", "/v1beta/models/gemini-x:generateContent",
        {"candidates": [{"finishReason": "STOP"}], "responseId": "r", "usageMetadata": {
            "promptTokenCount": 10, "toolUsePromptTokenCount": 7, "candidatesTokenCount": 3, "thoughtsTokenCount": 20,
            "cachedContentTokenCount": 6, "totalTokenCount": 40}},
        {"model": "gemini-x", "input_tokens": 17, "output_tokens": 23, "reasoning_tokens": 20, "cache_read_tokens": 6,
         "total_tokens": 40, "response_id": "r"},
    ),
    "gemini sound and pictures": (
        "generativelanguage.googleapis.com", "/v1beta/models/gemini-x:generateContent",
        {"candidates": [{"finishReason": "STOP"}], "usageMetadata": {
            "promptTokenCount": 100, "toolUsePromptTokenCount": 7, "candidatesTokenCount": 9, "totalTokenCount": 116,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 20}, {"modality": "AUDIO", "tokenCount": 50},
                                    {"modality": "IMAGE", "tokenCount": 9}, {"modality": "DOCUMENT", "tokenCount": 21}],
            "toolUsePromptTokensDetails": [{"modality": "AUDIO", "tokenCount": 7}],
            "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 30}], "cachedContentTokenCount": 30,
            "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 9}]}},
        {"input_tokens": 107, "output_tokens": 9, "cache_read_tokens": 30,
         "units": {"input_audio_tokens": 57, "cache_audio_read_tokens": 30, "input_image_tokens": 30,
                   "output_audio_tokens": 9}},
    ),
    "mistral reads documents": (
        "api.mistral.ai", "/v1/ocr",
        {"pages": [{"index": 0, "markdown": "x"}], "model": "mistral-ocr-2505",
         "usage_info": {"pages_processed": 29, "doc_size_bytes": 3002783}},
        {"provider": "mistral", "model": "mistral-ocr-2505", "input_tokens": None, "quality": "reported",
         "units": {"document_pages": 29}},
    ),
    "vertex embeddings by predict": (
        "us-central1-aiplatform.googleapis.com",
        "/v1/projects/p/locations/us-central1/publishers/google/models/text-embedding-005:predict",
        {"predictions": [{"embeddings": {"values": [0.1], "statistics": {"token_count": 4, "truncated": False}}},
                         {"embeddings": {"values": [0.2], "statistics": {"token_count": 5, "truncated": False}}}],
         "metadata": {"billableCharacterCount": 30}},
        {"provider": "google-vertex", "model": "text-embedding-005", "usage_type": "embedding", "input_tokens": 9},
    ),
    "anthropic on vertex": (
        "europe-west1-aiplatform.googleapis.com",
        "/v1/projects/p/locations/l/publishers/anthropic/models/claude-x@20250101:rawPredict",
        {"id": "msg_vrtx_1", "type": "message", "content": [],
         "usage": {"input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 2}},
        {"provider": "google-vertex", "model": "claude-x@20250101", "input_tokens": 7, "output_tokens": 2},
    ),
    "gemini's openai route": (
        "generativelanguage.googleapis.com", "/v1beta/openai/chat/completions",
        chat({"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109}, "gemini-2.5-pro"),
        {"input_tokens": 35, "output_tokens": 74, "reasoning_tokens": None, "total_tokens": 109},
    ),
    "xai": (
        "api.x.ai", CHAT,
        chat({"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135, "cost_in_usd_ticks": 37756000,
              "completion_tokens_details": {"reasoning_tokens": 94}}, "grok-4"),
        {"output_tokens": 103, "reasoning_tokens": 94, "reported_cost": Decimal("0.0037756")},
    ),
    "bedrock converse cache": (
        "bedrock-runtime.us-east-1.amazonaws.com", "/model/us.anthropic.claude-x-v1%3A0/converse",
        {"output": {}, "stopReason": "end_turn", "usage": {
            "inputTokens": 3, "outputTokens": 4, "totalTokens": 1719, "cacheReadInputTokens": 0,
            "cacheWriteInputTokens": 1712, "cacheDetails": [{"inputTokens": 1712, "ttl": "5m"}]}},
        {"model": "us.anthropic.claude-x-v1:0", "input_tokens": 1715, "total_tokens": 1719,
         "cache_write_tokens": 1712, "details": {"cache_write_5m_tokens": 1712}},
    ),
    "bedrock names a profile by its arn": (
        "bedrock-runtime.eu-west-1.amazonaws.com",
        "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Feu.amazon.nova-pro-v1%3A0/converse",
        {"output": {}, "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}},
        {"model": "eu.amazon.nova-pro-v1:0", "input_tokens": 1},
    ),
    "titan counts in whole floats": (
        "bedrock-runtime.us-east-1.amazonaws.com", "/model/amazon.titan-text-express-v1/invoke",
        {"inputTextTokenCount": 28.0, "results": [{"tokenCount": 100.0}, {"tokenCount": 97.0}]},
        {"input_tokens": 28, "output_tokens": 197},
    ),
    "mistral sound": (
        "api.mistral.ai", CHAT,
        chat({"prompt_tokens": 9, "completion_tokens": 248, "total_tokens": 632, "prompt_audio_seconds": 3,
              "prompt_tokens_details": {"audio_tokens": 375}}),
        {"input_tokens": 384, "output_tokens": 248, "audio_ms": 3000},
    ),
    "cohere v2 states billed and real": (
        "api.cohere.com", "/v2/chat",
        {"id": "c", "message": {}, "usage": {"billed_units": {"input_tokens": 25, "output_tokens": 9},
                                             "tokens": {"input_tokens": 91, "output_tokens": 11}}},
        {"input_tokens": 25, "output_tokens": 9,
         "details": {"unbilled_input_tokens": 91, "unbilled_output_tokens": 11}},
    ),
    "cohere v1": (
        "api.cohere.com", "/v1/chat",
        {"text": "x", "generation_id": "g", "meta": {"billed_units": {"input_tokens": 58, "output_tokens": 119}}},
        {"input_tokens": 58, "output_tokens": 119, "response_id": "g"},
    ),
    "deepseek": (
        "api.deepseek.com", "/chat/completions",
        chat({"prompt_tokens": 563, "completion_tokens": 116, "total_tokens": 679, "prompt_cache_hit_tokens": 512,
              "prompt_cache_miss_tokens": 51, "completion_tokens_details": {"reasoning_tokens": 60}}),
        {"input_tokens": 563, "cache_read_tokens": 512, "output_tokens": 116, "reasoning_tokens": 60},
    ),
    "openrouter states cost": (
        "openrouter.ai", "/api/v1/chat/completions",
        chat({"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12, "cost": 0.00014}),
        {"reported_cost": Decimal("0.00014"), "input_tokens": 10},
    ),
    "perplexity reasons and cites beside": (
        "api.perplexity.ai", "/chat/completions",
        chat({"prompt_tokens": 33, "completion_tokens": 7163, "total_tokens": 7196, "citation_tokens": 20016,
              "num_search_queries": 18, "reasoning_tokens": 73997, "cost": {"total_cost": 0.5}}),
        {"input_tokens": 33, "output_tokens": 101176, "reasoning_tokens": 73997, "reported_cost": Decimal("0.5"),
         "units": {"citation_tokens": 20016, "web_searches": 18}},
    ),
    "together caches": (
        "api.together.xyz", CHAT,
        chat({"prompt_tokens": 46, "completion_tokens": 42, "total_tokens": 88, "cached_tokens": 40}),
        {"input_tokens": 46, "cache_read_tokens": 40, "provider": "together"},
    ),
    "ollama": (
        "localhost:11434", "/api/embed",
        {"model": "all-minilm", "embeddings": [[0.1]], "total_duration": 1, "prompt_eval_count": 8},
        {"provider": "ollama", "input_tokens": 8, "output_tokens": None, "usage_type": "embedding"},
    ),
    "voyage states a total": (
        "api.voyageai.com", "/v1/embeddings",
        {"object": "list", "data": [{"embedding": [0.1]}], "model": "voyage-3", "usage": {"total_tokens": 10}},
        {"input_tokens": 10, "total_tokens": 10, "output_tokens": None, "usage_type": "embedding"},
    ),
    "text generation inference": (
        None, "/generate", {"generated_text": "x", "details": {"generated_tokens": 75, "prefill": [{"id": 1}] * 4}},
        {"provider": "unknown", "input_tokens": 4, "output_tokens": 75},
    ),
    "a proxy that mixes the words": (
        "proxy.example", CHAT,
        chat({"prompt_tokens": 50, "completion_tokens": 5, "total_tokens": 55, "cache_read_input_tokens": 40,
              "cache_creation_input_tokens": 0, "prompt_tokens_details": {"cached_tokens": 40}}),
        {"provider": "openai-compatible", "input_tokens": 50, "cache_read_tokens": 40, "output_tokens": 5},
    ),
    "zero is a count": (
        "api.openai.com", CHAT, chat({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}),
        {"input_tokens": 0, "output_tokens": 0, "cache_read_tokens": None, "reasoning_tokens": None},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_documented_body(name: str) -> None:
    """Our counters and words for what the provider documents."""
    host, path, body, expected = CASES[name]
    usage = read(host, path, body)
    assert usage is not None
    found = {field: getattr(usage, field) for field in expected}
    if "details" in expected:
        found["details"] = {key: usage.details.get(key) for key in expected["details"]}
    assert found == expected


SILENT: dict[str, tuple[str | None, str | None, object]] = {
    "a count of tokens": ("api.anthropic.com", "/v1/messages/count_tokens", {"input_tokens": 14}),
    "a count of tokens elsewhere": (None, None, {"input_tokens": 14}),
    "gemini counts": ("generativelanguage.googleapis.com", "/v1beta/models/g:countTokens", {"totalTokens": 5}),
    "a stored cache": (None, None, {"name": "cachedContents/x", "usageMetadata": {"totalTokenCount": 5}}),
    "a batch": (None, None, {"object": "batch", "model": "m", "usage": {"input_tokens": 1, "output_tokens": 2}}),
    "the legacy completion": ("api.anthropic.com", "/v1/complete", {"completion": "x", "stop_reason": "stop"}),
    "no usage": ("api.openai.com", CHAT, {"id": "x", "choices": [], "usage": None}),
    "an empty usage": ("api.openai.com", CHAT, {"id": "x", "choices": [], "usage": {}}),
    "limits": ("api.openai.com", "/v1/models/x", {"id": "x", "max_tokens": 4096, "context_window": 128000}),
    "an account's quota": (None, None, {"usage": {"total_tokens": 5, "limit": 10}, "plan": "free"}),
    "a plain service's usage": ("api.github.com", "/x", {"usage": {"input_tokens": 5, "disk": 3}, "plan": "free"}),
    "a database's units": (None, None, {"matches": [], "usage": {"readUnits": 6}}),
    "a guardrail's units": (None, "/guardrail/x/version/1/apply", {"usage": {"topicPolicyUnits": 1}, "outputs": []}),
    "pictures without usage": ("api.openai.com", "/v1/images/generations", {"created": 1, "data": [{"url": "u"}]}),
    "a talk about usage": (None, None, {"choices": [{"message": {"content": '"usage": {"prompt_tokens": 5}'}}]}),
    "counts as text": ("api.openai.com", CHAT, chat({"prompt_tokens": "5", "completion_tokens": "6"})),
    "an error": ("api.openai.com", CHAT, {"error": {"message": "no", "code": "x"}}),
}  # fmt: skip


@pytest.mark.parametrize("name", SILENT)
def test_none_is_invented(name: str) -> None:
    """A body that states no use of a model gives None."""
    host, path, body = SILENT[name]
    assert read(host, path, body) is None


@pytest.mark.parametrize("bad", [-1, True, 1.5, 10**13, float("nan"), float("inf"), "7", [7], {"a": 7}])
def test_what_is_no_count_stays_unknown(bad: object) -> None:
    """And the rest of the statement still counts, as partial."""
    usage = read("api.openai.com", CHAT, chat({"prompt_tokens": bad, "completion_tokens": 6}))
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (None, 6)


def test_usage_in_headers_alone() -> None:
    """Bedrock states it there for models whose body does not; a request id names the response."""
    headers = {
        "X-Amzn-Bedrock-Input-Token-Count": "6", "x-amzn-bedrock-output-token-count": "43", "x-amzn-RequestId": "r1",
    }  # fmt: skip
    path = "/model/cohere.command-text-v14/invoke"
    usage = read("bedrock-runtime.us-east-1.amazonaws.com", path, {"generations": []}, headers=headers)
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.response_id) == (6, 43, "r1")
    assert read("bedrock-runtime.us-east-1.amazonaws.com", path, {"message": "x"}, headers=headers, status=400) is None


def test_models_billed_beside_the_totals() -> None:
    """An advisor's passes are another model's; the answer's own passes are in the totals already."""
    passes = [
        {"type": "message", "input_tokens": 5, "output_tokens": 3},
        {"type": "advisor_message", "model": "claude-opus-x", "input_tokens": 70, "output_tokens": 8,
         "cache_read_input_tokens": 30},
        {"type": "compaction", "input_tokens": 20, "output_tokens": 9},
        {"type": "message", "input_tokens": 2, "output_tokens": 1},
    ]  # fmt: skip
    body = {"id": "m", "model": "claude-x", "content": [],
            "usage": {"input_tokens": 7, "output_tokens": 4, "iterations": passes}}  # fmt: skip
    usage = read("api.anthropic.com", "/v1/messages", body)
    assert usage is not None
    beside = [(part.model, part.input_tokens, part.output_tokens) for part in usage.further]
    assert beside == [("claude-opus-x", 100, 8), ("claude-x", 20, 9)]
    assert (usage.input_tokens, usage.output_tokens) == (7, 4)


def test_pictures_made_by_a_tool_are_another_models() -> None:
    """The responses API bills them beside its own tokens."""
    body = {
        "id": "resp_1", "model": "gpt-x", "output": [], "tools": [{"type": "image_generation", "model": "gpt-image-1"}],
        "usage": {"input_tokens": 7, "output_tokens": 4, "total_tokens": 11},
        "tool_usage": {"image_gen": {"input_tokens": 20, "output_tokens": 1056, "total_tokens": 1076}},
    }  # fmt: skip
    usage = read("api.openai.com", "/v1/responses", body)
    assert usage is not None
    (part,) = usage.further
    assert (part.model, part.usage_type, part.input_tokens, part.output_tokens) == ("gpt-image-1", "image", 20, 1056)
    body["tool_usage"] = {"image_gen": {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}}
    usage = read("api.openai.com", "/v1/responses", body)
    assert usage is not None
    assert usage.further == ()


def test_a_cache_that_exceeds_the_input_is_no_part_of_it() -> None:
    """Cohere bills without what it cached: input keeps including its cache reads, whatever is stated."""
    used = {"billed_units": {"input_tokens": 1, "output_tokens": 9}, "cached_tokens": 480, "tokens": {}}
    usage = read("api.cohere.com", "/v2/chat", {"id": "c", "message": {}, "usage": used})
    assert usage is not None
    assert (usage.input_tokens, usage.cache_read_tokens) == (1, None)
    assert usage.details["cached_beside_input_tokens"] == 480


TIERS: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "openai by default": ("api.openai.com", CHAT, {"service_tier": "default"}, "standard"),
    "openai flex": ("api.openai.com", CHAT, {"service_tier": "flex"}, "flex"),
    "openai does not say": ("api.openai.com", CHAT, {"service_tier": "auto"}, ""),
    "openai null": ("api.openai.com", CHAT, {"service_tier": None}, ""),
    "groq": ("api.groq.com", CHAT, {"service_tier": "on_demand"}, "standard"),
    "a number": ("api.openai.com", CHAT, {"service_tier": 1}, ""),
    "bedrock": ("bedrock-runtime.us-east-1.amazonaws.com", "/model/m/converse",
                {"usage": {"inputTokens": 1, "outputTokens": 2}, "output": {}, "serviceTier": {"type": "flex"}},
                "flex"),
    "anthropic": ("api.anthropic.com", "/v1/messages",
                  {"content": [], "usage": {"input_tokens": 1, "output_tokens": 2, "service_tier": "priority"}},
                  "priority"),
    "gemini": ("generativelanguage.googleapis.com", "/v1beta/models/g:generateContent",
               {"usageMetadata": {"promptTokenCount": 3, "serviceTier": "standard"}}, "standard"),
    "vertex": ("us-central1-aiplatform.googleapis.com", "/v1/publishers/google/models/g:generateContent",
               {"usageMetadata": {"promptTokenCount": 3, "trafficType": "ON_DEMAND_PRIORITY"}}, "priority"),
    "vertex, bought": ("us-central1-aiplatform.googleapis.com", "/v1/publishers/google/models/g:generateContent",
                       {"usageMetadata": {"promptTokenCount": 3, "trafficType": "PROVISIONED_THROUGHPUT"}},
                       "provisioned_throughput"),
}  # fmt: skip


@pytest.mark.parametrize("name", TIERS)
def test_the_service_tier_is_read_where_it_is_stated(name: str) -> None:
    """In one set of words; empty where the provider did not say how it served."""
    host, path, said, expected = TIERS[name]
    usage = read(host, path, chat({"prompt_tokens": 1, "completion_tokens": 2}) | said if path == CHAT else said)
    assert usage is not None
    assert usage.service_tier == expected
    assert usage.words().get("service_tier", "") == expected


def test_the_service_tier_may_stand_in_a_header() -> None:
    """Bedrock's, where a model's own body has no place for it."""
    headers = {"X-Amzn-Bedrock-Service-Tier": "priority"}
    usage = read(
        "bedrock-runtime.us-east-1.amazonaws.com", "/model/m/invoke",
        {"prompt_token_count": 3, "generation_token_count": 4}, headers=headers,
    )  # fmt: skip
    assert usage is not None
    assert (usage.service_tier, usage.input_tokens) == ("priority", 3)


def test_an_advisor_has_the_tier_of_its_call() -> None:
    """A tool that is another model's has none that is known."""
    body = {"id": "m", "model": "claude-x", "content": [], "usage": {
        "input_tokens": 7, "output_tokens": 4, "service_tier": "batch",
        "iterations": [{"type": "advisor_message", "model": "o", "input_tokens": 70, "output_tokens": 8}]}}  # fmt: skip
    usage = read("api.anthropic.com", "/v1/messages", body)
    assert usage is not None
    assert [part.service_tier for part in (usage, *usage.further)] == ["batch", "batch"]


def test_words_carry_units_that_are_not_zero() -> None:
    """Details of which nobody charges stay behind."""
    usage = read("api.anthropic.com", "/v1/messages", {"content": [], "usage": {
        "input_tokens": 7, "output_tokens": 4, "cache_creation_input_tokens": 9,
        "cache_creation": {"ephemeral_5m_input_tokens": 9, "ephemeral_1h_input_tokens": 0},
        "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 2}}})  # fmt: skip
    assert usage is not None
    assert usage.words()["units"] == {"web_searches": 3}


def test_words_are_those_of_a_node() -> None:
    """Without what is not stated."""
    usage = read("api.openai.com", CHAT, chat({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}))
    assert usage is not None
    assert usage.words() == {
        "provider": "openai", "model": "m", "usage_type": "text", "input_tokens": 1, "output_tokens": 2,
        "total_tokens": 3, "response_id": "c1", "quality": "reported",
    }  # fmt: skip
