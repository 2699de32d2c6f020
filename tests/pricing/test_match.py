"""Model names: what matches, and what must not."""

from __future__ import annotations

import pytest

from taximeter_consumers.pricing.book import packaged_rates
from taximeter_consumers.pricing.match import match

BOOK = {(rate.provider, rate.model) for rate in packaged_rates()}


@pytest.mark.parametrize(
    ("provider", "model", "name"),
    [
        ("openai", "gpt-4o", ("openai", "gpt-4o")),
        ("openai", "gpt-4o-2024-11-20", ("openai", "gpt-4o")),
        ("openai", "gpt-4o-2024-05-13", ("openai", "gpt-4o-2024-05-13")),
        ("openai", "gpt-4o-mini-2024-07-18", ("openai", "gpt-4o-mini")),
        ("openai.responses", "gpt-4.1-nano-2025-04-14", ("openai", "gpt-4.1-nano")),
        ("azure", "gpt-4o-mini", ("openai", "gpt-4o-mini")),
        ("Azure.AI.OpenAI", "o3-mini", ("openai", "o3-mini")),
        ("openai", "openai/gpt-4o", ("openai", "gpt-4o")),
        ("", "anthropic/claude-3-5-haiku-20241022", ("anthropic", "claude-3-5-haiku")),
        ("anthropic", "claude-sonnet-4-20250514", ("anthropic", "claude-sonnet-4")),
        ("anthropic", "claude-sonnet-4-0", ("anthropic", "claude-sonnet-4")),
        ("anthropic", "claude-sonnet-4@20250514", ("anthropic", "claude-sonnet-4")),
        ("anthropic", "claude-3-7-sonnet-latest", ("anthropic", "claude-3-7-sonnet")),
        ("gcp.gemini", "models/gemini-2.0-flash-001", ("google", "gemini-2.0-flash")),
        ("mistral_ai", "mistral-small", ("mistral", "mistral-small-latest")),
        ("groq", "openai/gpt-oss-120b", ("groq", "openai/gpt-oss-120b")),
        ("openai", "text-embedding-3-small", ("openai", "text-embedding-3-small")),
    ],
)
def test_these_match(provider: str, model: str, name: tuple[str, str]) -> None:
    """By name, by a provider's other word, without a date, a prefix or `-latest`."""
    assert match(provider, model, BOOK) == name


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o-audio-preview"),
        ("openai", "gpt-4"),
        ("openai", "gpt-4o-min"),
        ("openai", "gpt-4.1-mini-turbo"),
        ("openai", "ft:gpt-4o-mini:acme::abc"),
        ("anthropic", "claude-opus-4-2"),
        ("anthropic", "claude-sonnet"),
        ("openrouter", "openai/gpt-4o"),
        ("groq", "openai/gpt-4o"),
        ("openai", "anthropic/claude-sonnet-4"),
        ("", "gpt-4o"),
        ("openai", ""),
        ("house", "llm-1"),
    ],
)
def test_these_do_not_match(provider: str, model: str) -> None:
    """Likeness is not identity, and a reseller's price is not the maker's."""
    assert match(provider, model, BOOK) is None


def test_two_candidates_are_no_match() -> None:
    """Where two names of the book reduce to the same one, neither is guessed."""
    book = {("lab", "m-2024-01-01"), ("lab", "m-2025-01-01")}
    assert match("lab", "m", book) is None
    assert match("lab", "m-2025-01-01", book) == ("lab", "m-2025-01-01")


@pytest.mark.parametrize("name", sorted(BOOK))
def test_every_name_of_the_book_matches_itself(name: tuple[str, str]) -> None:
    """A name that the book has is never led to another."""
    assert match(*name, BOOK) == name
