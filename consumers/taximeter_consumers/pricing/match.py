"""Which name of the price book an event's model goes by. Pure, by rules and never by likeness.

In this order, and the first that is a name of the book counts:

1. provider and model as they stand, so that what an operator has priced under the very names of the events wins;
2. the same with the book's word for the provider, a vendor's prefix taken off, and second names that we know;
3. the clauses of `genai-prices`, which are written by hand for each model; a clause that looks only at a part of a name
   is not believed where the rest names another size or kind: `gemini-1.5-flash-8b` is no `gemini-1.5-flash`;
4. the name without what does not change the price (a date at its end, `-latest`), where exactly one name of the book
   is left that is equal when reduced in the same way.

Steps 3 and 4 ask the provider first, then those whose models it offers at their price (`azure`: `openai`). No match is
an answer too: such calls count as unpriced.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from taximeter_consumers.pricing.packaged import providers
from taximeter_consumers.pricing.vendors import book_provider

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from genai_prices.types import MatchLogic

BookName = tuple[str, str]
"""(provider, model) as in the price book."""

# Second names that no rule finds, and names that a rule would lead astray.
MODELS: Final = {
    ("mistral", "mistral-small"): "mistral-small-latest",
}

_DATE: Final = re.compile(r"(-\d{4}-\d{2}-\d{2}|[-@]20\d{6}|-latest|-00\d)$")
_PATH: Final = re.compile(r"^(?:publishers/[^/]+/)?models/")
_PARTS: Final = re.compile(r"[^a-z0-9]+")
_SIZE: Final = re.compile(r"^\d+(?:x\d+)?b$")
# Words that make a model another one, with another price.
_KINDS: Final = frozenset(
    (
        "mini", "nano", "micro", "lite", "small", "tiny", "medium", "large", "xl", "max", "ultra", "turbo", "flash",
        "fast", "plus", "pro", "free", "batch", "audio", "realtime", "live", "tts", "stt", "transcribe",
        "transcription", "whisper", "image", "vision", "video", "search", "embed", "embedding", "embeddings", "rerank",
        "code", "codex", "coder", "guard", "moderation", "omni", "deep", "research",
    )
)  # fmt: skip


def match(provider: str, model: str, book: Collection[BookName]) -> BookName | None:
    """The book's name for (provider, model) of an event, or None. `book` holds every (provider, model) with a rate."""
    name = model.strip()
    for stated in ((provider, model), (provider.strip().lower(), name)):
        if stated in book:
            return stated
    vendor = book_provider(provider)
    if (vendor, name) in book:
        return vendor, name
    vendor, name = _routed(*_without_prefix(vendor, name))
    name = MODELS.get((vendor, name), name)
    if not vendor or not name:
        return None
    for candidate in _candidates(vendor, name):
        if candidate in book:
            return candidate
    return None if vendor not in _vendors(book) else _reduced(vendor, name, book)


def _vendors(book: Collection[BookName]) -> set[str]:
    return {provider for provider, _ in book}


def _candidates(vendor: str, name: str) -> Iterator[BookName]:
    """The name itself and what the package's clauses make of it, at the vendor and at those whose models it offers."""
    packaged = providers()
    fallbacks = packaged[vendor].fallback_model_providers if vendor in packaged else None
    sellers = [vendor, *(fallbacks or ())]
    for seller in sellers:
        yield seller, name
        yield seller, name.lower()
        found = packaged[seller].find_model(name) if seller in packaged else None
        if found is not None and not _of_another_kind(name, found.id, found.match):
            yield seller, found.id


def _reduced(vendor: str, name: str, book: Collection[BookName]) -> BookName | None:
    reduced = _DATE.sub("", name)
    if (vendor, reduced) in book:
        return vendor, reduced
    alike = [known for known in book if known[0] == vendor and _DATE.sub("", known[1]) == reduced]
    return alike[0] if len(alike) == 1 else None


def _of_another_kind(name: str, found: str, clause: MatchLogic) -> bool:
    """Whether what the clause did not look at names a size or kind that the model found does not have."""
    looked_at = {word for text in _looked_at(clause, name.lower()) for word in _words(text)}
    rest = _words(name) - _words(found) - looked_at
    return any(word in _KINDS or _SIZE.match(word) for word in rest)


def _looked_at(clause: MatchLogic, name: str) -> Iterator[str]:
    """The parts of `name` that make the clause true."""
    from genai_prices import types

    if not clause.is_match(name):
        return
    if isinstance(clause, types.ClauseOr | types.ClauseAnd):
        for inner in clause.or_ if isinstance(clause, types.ClauseOr) else clause.and_:
            yield from _looked_at(inner, name)
    elif isinstance(clause, types.ClauseRegex):
        found = re.search(clause.regex, name)
        yield found.group(0) if found else ""
    elif isinstance(clause, types.ClauseStartsWith):
        yield clause.starts_with
    elif isinstance(clause, types.ClauseEndsWith):
        yield clause.ends_with
    elif isinstance(clause, types.ClauseContains):
        yield clause.contains
    else:
        yield name


def _words(text: str) -> set[str]:
    return set(_PARTS.split(text.lower())) - {""}


def _routed(vendor: str, name: str) -> BookName:
    """Hugging Face's router names the host that it chose behind the model: `org/model:together`."""
    model, _, host = name.rpartition(":")
    return (f"huggingface_{host}", model) if vendor == "huggingface" and model else (vendor, name)


def _without_prefix(vendor: str, name: str) -> BookName:
    """Takes a path and a vendor's prefix off, where prefix and provider say the same or there is no provider."""
    name = _PATH.sub("", name)
    prefix, slash, rest = name.partition("/")
    if not slash:
        return vendor, name
    named = book_provider(prefix)
    return (named, rest) if vendor in ("", named) else (vendor, name)
