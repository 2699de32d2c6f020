"""The texts of a request and of an answer, for an estimate where no use was stated. Read, counted and forgotten.

Reasoning is left out wherever it can be told apart: it is never guessed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

_ASKED = frozenset(
    {
        "content", "contents", "text", "texts", "prompt", "input", "inputs", "system", "instructions", "message",
        "query", "documents", "inputText", "arguments", "description", "name", "parts",
    }
)  # fmt: skip
_ANSWERED = frozenset(
    {
        "content", "text", "arguments", "response", "generated_text", "generation", "outputText", "partial_json",
        "refusal", "delta", "parts", "completion", "outputs",
    }
)  # fmt: skip
# What a model writes as the arguments of a tool, where it comes as an object and not as its text.
_OBJECTS = frozenset({"input", "args", "arguments"})
# Beside the texts proper: what they were made of, what was only thought, and what names them.
_NOT_ASKED = frozenset({"image_url", "data", "file_data", "inline_data", "inlineData", "metadata", "source"})
_NOT_ANSWERED = frozenset({"reasoning", "reasoning_content", "thinking", "logprobs", "usage", "annotations", "prompt"})
_DEEPEST = 40

# A body that is longer is not kept for an estimate.
MOST_BYTES = 2_097_152


def asked_texts(document: object) -> Iterator[str]:
    """The texts that a request gives a model to read, tools included."""
    return _walk(document, _ASKED, _NOT_ASKED, told=False, depth=0)


def answered_texts(document: object) -> Iterator[str]:
    """The texts that an answer, or one event of a streamed answer, gives the caller."""
    if isinstance(document, dict):
        kind = document.get("type")
        # Typed events end with the whole text once more; only the pieces are counted.
        if isinstance(kind, str) and kind.startswith("response.") and not kind.endswith(".delta"):
            return iter(())
        if isinstance(kind, str) and "reasoning" in kind:
            return iter(())
    return _walk(document, _ANSWERED, _NOT_ANSWERED, told=False, depth=0)


def _walk(value: object, keys: frozenset[str], without: frozenset[str], *, told: bool, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        return
    if isinstance(value, str):
        if told and value:
            yield value
    elif isinstance(value, dict):
        if value.get("type") in ("reasoning", "thinking"):
            return
        for key, inner in value.items():
            if key in _OBJECTS and isinstance(inner, dict):
                yield json.dumps(inner)
            elif key not in without:
                yield from _walk(inner, keys, without, told=key in keys, depth=depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner, keys, without, told=told, depth=depth + 1)


def document_of(body: bytes) -> Any:
    """The JSON of a body, None where it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
