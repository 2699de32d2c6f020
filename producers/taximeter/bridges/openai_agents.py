"""OpenAI Agents SDK: a tracing processor that claims what its generation and response spans used.

    add_trace_processor(TaximeterTracing())

Only these two kinds of span are calls of a model; agent, turn and task spans repeat their sums. The node is the one
that was current when the span began.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from agents.tracing import GenerationSpanData, ResponseSpanData, Span, Trace, TracingProcessor

from taximeter.bridges.claim import OpenCalls, claim, claim_failed, quiet
from taximeter.bridges.counters import counters_of
from taximeter.usage import provider_of


class TaximeterTracing(TracingProcessor):
    """Add it beside other processors. It never raises and never waits."""

    def __init__(self) -> None:
        self._calls = OpenCalls()

    def on_trace_start(self, trace: Trace) -> None:
        """Nothing: a trace is no run of ours."""

    def on_trace_end(self, trace: Trace) -> None:
        """Nothing."""

    @quiet
    def on_span_start(self, span: Span[Any]) -> None:
        """A call begins."""
        if isinstance(span.span_data, GenerationSpanData | ResponseSpanData):
            self._calls.began(span.span_id)

    @quiet
    def on_span_end(self, span: Span[Any]) -> None:
        """A call ends."""
        data = span.span_data
        if not isinstance(data, GenerationSpanData | ResponseSpanData):
            return
        node, _ = self._calls.ended(span.span_id)
        words = _of_response(data) if isinstance(data, ResponseSpanData) else _of_generation(data)
        if span.error:
            claim_failed(node, words, str(span.error.get("message") or "the span ended with an error"))
        else:
            claim(node, words)

    def shutdown(self) -> None:
        """Forget the calls that have not ended."""
        self._calls.clear()

    def force_flush(self) -> None:
        """Nothing is held back here; the meter flushes."""


def _of_response(data: ResponseSpanData) -> dict[str, Any]:
    response = data.response
    tier = getattr(response, "service_tier", None)
    return {
        "provider": "openai",
        "model": getattr(response, "model", None),
        "usage_type": "text",
        "response_id": getattr(response, "id", None),
        "service_tier": tier if isinstance(tier, str) else None,
        **counters_of(getattr(response, "usage", None) or data.usage),
    }


def _of_generation(data: GenerationSpanData) -> dict[str, Any]:
    first = next(iter(data.output or ()), None)
    response_id = first.get("id") if isinstance(first, Mapping) and first.get("object") == "chat.completion" else None
    return {
        "provider": _provider(data),
        "model": data.model,
        "usage_type": "text",
        "response_id": response_id,
        **counters_of(data.usage),
    }


def _provider(data: GenerationSpanData) -> str | None:
    url = (data.model_config or {}).get("base_url")
    if not url:
        # A prefix, as in `anthropic/claude-...`, is how the models of other providers are named there.
        prefix, slash, _ = (data.model or "").removeprefix("litellm/").partition("/")
        return prefix if slash else None
    parts = urlsplit(str(url))
    return provider_of(parts.hostname, f"{parts.path.rstrip('/')}/chat/completions")
