"""Which name of the price book an event's model goes by. Pure, by rules and never by likeness.

A name matches as it is, or after what does not change the price is taken off: a vendor's prefix, a date at its end,
`-latest`. What is left must equal a name of the book that is reduced in the same way, and exactly one; `gpt-4o-mini`
never matches `gpt-4o`. No match is an answer too: such calls count as unpriced.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

BookName = tuple[str, str]
"""(provider, model) as in the price book."""

# Other words for a provider that charges its own list price. Resellers with prices of their own are not among them.
PROVIDERS: Final = {
    "azure": "openai",
    "azure.ai.openai": "openai",
    "az.ai.openai": "openai",
    "azure-openai": "openai",
    "azure_openai": "openai",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "gemini": "google",
    "google-genai": "google",
    "google_genai": "google",
    "vertex_ai": "google",
    "vertexai": "google",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
}

# Second names that no rule finds.
MODELS: Final = {
    ("openai", "gpt-3.5-turbo-0125"): "gpt-3.5-turbo",
    ("anthropic", "claude-sonnet-4-0"): "claude-sonnet-4",
    ("anthropic", "claude-opus-4-0"): "claude-opus-4",
}

_DATE: Final = re.compile(r"(-\d{4}-\d{2}-\d{2}|[-@]20\d{6}|-latest|-00\d)$")
_API: Final = re.compile(r"^(openai|anthropic|google|mistral|groq|deepseek)[./:][a-z_.-]+$")


def book_provider(provider: str) -> str:
    """The book's word for an event's provider: `azure` and `openai.responses` are `openai`."""
    name = provider.strip().lower()
    name = PROVIDERS.get(name, name)
    api = _API.match(name)
    return api.group(1) if api else name


def match(provider: str, model: str, book: Collection[BookName]) -> BookName | None:
    """The book's name for (provider, model) of an event, or None. `book` holds every (provider, model) with a rate."""
    name = model.strip()
    vendor = book_provider(provider)
    if (vendor, name) in book:
        return vendor, name
    vendor, name = _without_prefix(vendor, name)
    name = MODELS.get((vendor, name), name)
    reduced = _DATE.sub("", name)
    for candidate in (name, reduced):
        if (vendor, candidate) in book:
            return vendor, candidate
    alike = [known for known in book if known[0] == vendor and _DATE.sub("", known[1]) == reduced]
    return alike[0] if len(alike) == 1 else None


def _without_prefix(vendor: str, name: str) -> BookName:
    """Takes `models/` and a vendor's prefix off, where prefix and provider say the same or there is no provider."""
    name = name.removeprefix("models/")
    prefix, slash, rest = name.partition("/")
    if not slash:
        return vendor, name
    named = book_provider(prefix)
    return (named, rest) if vendor in ("", named) else (vendor, name)
