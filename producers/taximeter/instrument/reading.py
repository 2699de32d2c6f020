"""What one answer of an AI endpoint used: stated, else estimated, else missing. Fed with bytes, it keeps none for long.

A whole, successful answer that states nothing is estimated where its texts can be seen. Everything else that states
nothing is `missing`: the use is not known, which is not zero.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from taximeter.instrument.answer import AnswerTexts
from taximeter.instrument.estimate import tokens_of
from taximeter.instrument.policy import Asked, Policy, is_call
from taximeter.instrument.texts import MOST_BYTES, asked_texts, document_of
from taximeter.usage import Usage, UsageReader
from taximeter_schemas.words import Quality

# Gemini's paths end in what to do with the model; the version of Bedrock's are digits.
_VERB = re.compile(r":[A-Za-z]+$")
_STREAMS = ("text/event-stream", "application/x-ndjson", "application/vnd.amazon.eventstream", "application/jsonl")


class Reading:
    """Made with a request to an AI endpoint, told of its answer, asked once for the words of `node.ai_tapped`."""

    def __init__(self, policy: Policy, asked: Asked, provider: str) -> None:
        self._policy = policy
        self._asked = asked
        self._provider = provider
        self._request: list[bytes] = []
        self._room = MOST_BYTES
        self._reader: UsageReader | None = None
        self._texts: AnswerTexts | None = None

    @property
    def over(self) -> bool:
        """Whether the answer is a stream that has said its last word."""
        return self._texts is not None and self._texts.over

    def sending(self, chunk: bytes) -> None:
        """Keep the request's body, if it is short, until the answer is read."""
        self._room -= len(chunk)
        if self._room >= 0:
            self._request.append(chunk)
        else:
            self._request.clear()

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """The head of the answer has come. Names of headers are in lower case."""
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        stream = kind in _STREAMS
        self._reader = UsageReader(
            provider=self._provider,
            host=self._asked.netloc,
            path=self._asked.path,
            status=status,
            headers=headers,
            stream=stream,
        )
        if status < 300 and (stream or "json" in kind or not kind):
            encoding = headers.get("content-encoding", "")
            self._texts = AnswerTexts(encoding, stream=stream, estimate=self._policy.estimate)

    def feed(self, chunk: bytes) -> None:
        """Bytes of the answer, as the headers describe them."""
        if self._reader is not None:
            self._reader.feed(chunk)
        if self._texts is not None:
            self._texts.feed(chunk)

    def words(self, status: int | None, *, sent: bool, whole: bool) -> list[dict[str, Any]]:
        """Keywords for each record of the call; none where the call is known to have used nothing."""
        usage = None if self._reader is None else self._reader.finish(whole)
        request = document_of(b"".join(self._request)) if self._request else None
        self._request.clear()
        model = self._model(request)
        if usage is not None:
            return [_stated(part, model, whole=whole) for part in (usage, *usage.further)]
        if isinstance(request, dict) and request.get("background") is True:
            # It has only begun. Whoever retrieves the answer is told what it used.
            return []
        missing = {"provider": self._provider, "model": model, "quality": Quality.MISSING}
        if status is None:
            # A request that left may have been worked on, though the answer never came.
            return [missing] if sent and is_call(self._asked.path) else []
        if status >= 300 or not is_call(self._asked.path):
            return []
        counts = self._estimated(request, model) if whole and self._policy.estimate else None
        return [missing if counts is None else missing | counts]

    def _estimated(self, request: object, model: str) -> dict[str, Any] | None:
        answered = None if self._texts is None else self._texts.tokens(model)
        if not isinstance(request, dict) or answered is None:
            return None
        asked = tokens_of(asked_texts(request), model)
        counts: dict[str, Any] = {"quality": Quality.ESTIMATED, "input_tokens": asked}
        if "embed" in self._asked.path.lower():
            return counts | {"usage_type": "embedding"}
        if answered:
            return counts | {"output_tokens": answered}
        # An answer in which no text could be seen is not known to be empty.
        return counts if asked else None

    def _model(self, request: object) -> str:
        named = request.get("model") if isinstance(request, dict) else None
        if isinstance(named, str) and named:
            return named
        parts = self._asked.path.split("/")
        for before in ("model", "models", "deployments"):
            if before in parts[:-1]:
                return _VERB.sub("", unquote(parts[parts.index(before) + 1]))
        return ""


def _stated(usage: Usage, model: str, *, whole: bool) -> dict[str, Any]:
    words = usage.words()
    if not words.get("model"):
        words["model"] = model
    if not whole and words.get("quality", Quality.REPORTED) == Quality.REPORTED:
        words["quality"] = Quality.PARTIAL
    return words
