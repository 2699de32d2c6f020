"""Model names: what matches, and what must not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from taximeter_consumers.pricing.match import match
from taximeter_consumers.pricing.packaged import packaged_rates
from taximeter_consumers.pricing.vendors import PROVIDERS, book_provider

BOOK = {(rate.provider, rate.model) for rate in packaged_rates()}
RESPONSES = Path(__file__).parents[3] / "shared" / "data" / "provider_responses_sample.jsonl"

# Recorded pairs without a match, each with the reason.
NO_MODEL = {
    ("aws-bedrock", "does-not-exist"),
    ("aws-bedrock", "invalid-model-id"),
    ("aws-bedrock", "invalid-streaming-model-id"),
    ("google", ""),
    ("google-vertex", "gemini-does-not-exist"),
    ("ollama", "nonexistent-model:latest"),
    ("openai", "non-existent-embedding-model"),
    ("openai", "this-model-does-not-exist"),
}
NO_PRICE = {
    ("aws-bedrock", "ai21.jamba-1-5-mini-v1:0"): "the package has no price of it at Bedrock",
    ("aws-bedrock", "anthropic.claude-v2"): "retired; no price at Bedrock",
    ("aws-bedrock", "claude-2.0"): "retired; no price at Bedrock",
    ("aws-bedrock", "cohere.command-light-text-v14"): "retired; no price at Bedrock",
    ("aws-bedrock", "cohere.command-r-v1:0"): "the package has no price of it at Bedrock",
    ("aws-bedrock", "cohere.command-text-v14"): "retired; no price at Bedrock",
    ("aws-bedrock", "jamba-1.5-mini"): "the package has no price of it at Bedrock",
    ("cohere", "rerank-english-v2.0"): "paid by the search; the package has no price of it",
    ("ollama", "qwen3.6:latest"): "runs on a machine of one's own",
    ("portkey", "gpt-4.1-2025-04-14"): "a gateway: whose account paid is not on the event",
    ("portkey", "gpt-4o-mini-2024-07-18"): "a gateway: whose account paid is not on the event",
}


@pytest.mark.parametrize(
    ("provider", "model", "name"),
    [
        ("openai", "gpt-4o", ("openai", "gpt-4o")),
        ("openai", "gpt-4o-2024-11-20", ("openai", "gpt-4o")),
        ("openai", "gpt-4o-2024-05-13", ("openai", "gpt-4o-2024-05-13")),
        ("openai", "gpt-4o-mini-2024-07-18", ("openai", "gpt-4o-mini")),
        ("openai", "gpt-4o-audio-preview", ("openai", "gpt-4o-audio-preview")),
        ("openai", "gpt-4-0613", ("openai", "gpt-4")),
        ("openai", "gpt-4-32k", ("openai", "gpt-4-32k")),
        ("openai", "gpt-3.5-turbo-0125", ("openai", "gpt-3.5-turbo")),
        ("openai.responses", "gpt-4.1-nano-2025-04-14", ("openai", "gpt-4.1-nano")),
        ("azure", "gpt-4o-mini", ("openai", "gpt-4o-mini")),
        ("azure", "gpt-35-turbo", ("openai", "gpt-3.5-turbo")),
        ("Azure.AI.OpenAI", "o3-mini", ("azure", "o3-mini")),
        ("azure", "claude-opus-4-1", ("anthropic", "claude-opus-4-1")),
        ("openai", "openai/gpt-4o", ("openai", "gpt-4o")),
        ("", "anthropic/claude-3-5-haiku-20241022", ("anthropic", "claude-3-5-haiku-latest")),
        ("anthropic", "claude-sonnet-4-20250514", ("anthropic", "claude-sonnet-4-0")),
        ("anthropic", "claude-sonnet-4-0", ("anthropic", "claude-sonnet-4-0")),
        ("google-vertex", "claude-sonnet-4@20250514", ("google", "claude-4-sonnet")),
        ("anthropic", "claude-3-7-sonnet-latest", ("anthropic", "claude-3-7-sonnet-latest")),
        ("gcp.gemini", "models/gemini-2.0-flash-001", ("google", "gemini-2.0-flash")),
        ("gcp.vertex_ai", "publishers/google/models/gemini-2.5-pro", ("google", "gemini-2.5-pro")),
        ("google", "gemini-2.5-flash-lite", ("google", "gemini-2.5-flash-lite")),
        ("mistral_ai", "mistral-small", ("mistral", "mistral-small-latest")),
        ("mistral_ai", "mistral-medium-latest", ("mistral", "mistral-medium-latest")),
        ("groq", "openai/gpt-oss-120b", ("groq", "openai/gpt-oss-120b")),
        ("openrouter", "openai/gpt-4o-2024-08-06", ("openrouter", "openai/gpt-4o")),
        ("x_ai", "grok-3-mini-beta", ("x-ai", "grok-3-mini")),
        ("aws.bedrock", "us.amazon.nova-micro-v1:0", ("aws", "amazon.nova-micro-v1:0")),
        (
            "aws-bedrock",
            "us.anthropic.claude-3-5-haiku-20241022-v1:0",
            ("aws", "regional.anthropic.claude-3-5-haiku-20241022-v1:0"),
        ),
        ("openai", "text-embedding-3-small", ("openai", "text-embedding-3-small")),
        ("openai", "gpt-5.2-20251211", ("openai", "gpt-5.2")),
        (
            "huggingface",
            "meta-llama/Llama-3.3-70B-Instruct:together",
            ("huggingface_together", "meta-llama/Llama-3.3-70B-Instruct"),
        ),
    ],
)
def test_these_match(provider: str, model: str, name: tuple[str, str]) -> None:
    """By name, by a provider's other word, by the package's clauses, without a date, a prefix or `-latest`."""
    assert match(provider, model, BOOK) == name


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o-min"),
        ("openai", "gpt-4o-mini-mini"),
        ("openai", "gpt-4.1-mini-turbo"),
        ("openai", "gpt-5-turbo"),
        ("openai", "ft:gpt-4o-mini:acme::abc"),
        ("openai", "gpt-9"),
        ("anthropic", "claude-opus-4-2"),
        ("anthropic", "claude-opus-4.6-fast"),
        ("anthropic", "claude-sonnet"),
        ("anthropic", "claude-sonnet-4.5:batch"),
        ("deepseek", "deepseek-r1-distill-llama-8b"),
        ("google", "gemini-1.5-flash-8b"),
        ("google", "gemini-does-not-exist"),
        ("openrouter", "openai/gpt-4o:free"),
        ("groq", "openai/gpt-4o"),
        ("openai", "anthropic/claude-sonnet-4"),
        ("", "gpt-4o"),
        ("openai", ""),
        ("openai-compatible", "gpt-4o"),
        ("portkey", "gpt-4o"),
        ("huggingface", "meta-llama/Llama-3.3-70B-Instruct"),
        ("house", "llm-1"),
    ],
)
def test_these_do_not_match(provider: str, model: str) -> None:
    """Likeness is not identity, another size is another model, and a gateway's price is nobody's."""
    assert match(provider, model, BOOK) is None


def test_an_operators_own_name_goes_before_all_rules() -> None:
    """What was priced under the very names of the events is taken, for a provider and a model that nobody else knows
    and for one that a rule would lead elsewhere."""
    own = {("house", "llm-1"), ("Azure-OpenAI", "my deployment"), ("azure", "gpt-4o-mini"), ("xai", "grok-3")}
    for name in own:
        assert match(*name, BOOK | own) == name
    assert match("house", "llm-1-2026-01-01", BOOK | own) == ("house", "llm-1")
    assert match("azure", "gpt-4o", BOOK | own) == ("openai", "gpt-4o")


def test_only_names_of_the_book_are_matched() -> None:
    """What the package knows and the book does not is no match."""
    assert match("openai", "gpt-4o-2024-08-06", {("openai", "gpt-4.1")}) is None


def test_the_words_for_providers_lead_to_the_book() -> None:
    """Every word means a provider that the packaged book has, none is one itself, and words of an API are taken off."""
    vendors = {provider for provider, _ in BOOK}
    assert set(PROVIDERS.values()) <= vendors
    assert not vendors & PROVIDERS.keys()
    assert [book_provider(word) for word in ("google.vertex.chat", "mistral.chat", "xai.responses")] == [
        "google",
        "mistral",
        "x-ai",
    ]
    assert book_provider("openai.acme.internal") == "openai.acme.internal"


@pytest.mark.skipif(not RESPONSES.exists(), reason="the recorded responses are not here")
def test_recorded_pairs_match_or_are_explained() -> None:
    """Every recorded (provider, model) has a match, is no model at all, or is named here with the reason."""
    recorded = [json.loads(line) for line in RESPONSES.read_text(encoding="utf-8").splitlines()]
    pairs = {(one["provider"], (one["expected"] or {}).get("model") or one["request_model"] or "") for one in recorded}
    unmatched = {pair for pair in pairs if match(*pair, BOOK) is None}
    assert unmatched == NO_MODEL | NO_PRICE.keys()
    assert len(pairs - unmatched) / len(pairs - NO_MODEL) > 0.8


def test_two_candidates_are_no_match() -> None:
    """Where two names of the book reduce to the same one, neither is guessed."""
    book = {("lab", "m-2024-01-01"), ("lab", "m-2025-01-01")}
    assert match("lab", "m", book) is None
    assert match("lab", "m-2025-01-01", book) == ("lab", "m-2025-01-01")


def test_every_name_of_the_book_matches_itself() -> None:
    """A name that the book has is never led to another."""
    assert [name for name in sorted(BOOK) if match(*name, BOOK) != name] == []
