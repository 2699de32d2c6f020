"""What a model call costs at the stub provider: a pure function of the seed and the request, so that runs repeat."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

CACHE_BLOCK = 128
CACHE_FROM_TOKENS = 1024
REASONING_MODELS = frozenset({"o3-mini"})
WORDS = ("the", "meter", "counts", "what", "each", "node", "has", "used", "and", "adds", "nothing")


@dataclass(frozen=True)
class Tokens:
    """Counts of one call; `prompt` includes cache reads and writes, `completion` includes reasoning."""

    prompt: int
    completion: int
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0

    @property
    def plain_prompt(self) -> int:
        return self.prompt - self.cache_read - self.cache_write


def draw(*parts: object) -> int:
    """A large number that depends on the parts alone."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest())


def length(text: str) -> int:
    """Tokens of a text at four characters each, at least one."""
    return max(1, (len(text) + 3) // 4)


def completion_call(seed: int, model: str, prompt: str) -> Tokens:
    """An OpenAI-shaped call: long prompts are in part read from the cache, reasoning models reason."""
    prompt_tokens = length(prompt)
    cached = 0
    if prompt_tokens >= CACHE_FROM_TOKENS and not model.startswith("house-"):
        cached = (prompt_tokens // CACHE_BLOCK - draw(seed, model, prompt, "cache") % 3) * CACHE_BLOCK
    visible = 20 + draw(seed, model, prompt, "out") % 180
    reasoning = 64 * (1 + draw(seed, model, prompt, "think") % 8) if model in REASONING_MODELS else 0
    return Tokens(prompt_tokens, visible + reasoning, cache_read=cached, reasoning=reasoning)


def message_call(seed: int, model: str, system: str, prompt: str, cached_system: bool) -> Tokens:
    """An Anthropic-shaped call: a system text marked for caching is written once in four calls and else read."""
    system_tokens = length(system) if system else 0
    total = system_tokens + length(prompt)
    completion = 20 + draw(seed, model, prompt, "out") % 230
    if not cached_system or system_tokens < CACHE_FROM_TOKENS:
        return Tokens(total, completion)
    writes = draw(seed, model, prompt, "cache") % 4 == 0
    return Tokens(
        total, completion, cache_read=0 if writes else system_tokens, cache_write=system_tokens if writes else 0
    )


def text_of(tokens: Tokens) -> list[str]:
    """The visible answer, one word a token, spaces included; joined it is the answer's text."""
    visible = tokens.completion - tokens.reasoning
    return [("" if at == 0 else " ") + WORDS[(tokens.prompt + at) % len(WORDS)] for at in range(visible)]


def pieces(words: list[str], size: int = 16) -> list[str]:
    """The text as a stream sends it: some words at a time."""
    return ["".join(words[at : at + size]) for at in range(0, len(words), size)]
