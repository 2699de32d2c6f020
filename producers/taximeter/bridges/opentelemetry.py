"""OpenTelemetry: a span processor that claims the use which spans of model calls state.

    provider.add_span_processor(TaximeterSpans())

It reads spans of the GenAI conventions, of OpenLLMetry and of OpenInference (`span_words` has the table). The node is
the one that was current when the span began. Agent and workflow spans repeat the sums of their calls and are left out;
so is a call's span around another span of the same call, made where two libraries instrument one request.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import RLock

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import StatusCode

from taximeter.bridges.claim import OpenCalls, claim, claim_failed, quiet
from taximeter.bridges.span_words import usage_type_of, words_of

_REMEMBERED = 10_000
_SpanKey = tuple[int, int]


class TaximeterSpans(SpanProcessor):
    """Add it beside exporters. It never raises, never waits, and keeps no text of a span."""

    def __init__(self) -> None:
        self._calls = OpenCalls()
        self._lock = RLock()
        self._around: OrderedDict[_SpanKey, None] = OrderedDict()

    @quiet
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - theirs
        """A span begins: remember where."""
        key = _key(span)
        if key is not None:
            self._calls.began(key)

    @quiet
    def on_end(self, span: ReadableSpan) -> None:
        """A span ends: claim what it states."""
        key = _key(span)
        if key is None:
            return
        node, _ = self._calls.ended(key)
        attributes = span.attributes or {}
        usage_type = usage_type_of(attributes)
        if usage_type is None:
            return
        inner_counted = self._counted_inside(key)
        self._count(span)
        if inner_counted:
            return
        words = words_of(attributes, usage_type)
        if span.status.status_code is StatusCode.ERROR or attributes.get("error.type"):
            # Its description may quote a prompt; the kind of error does not.
            claim_failed(node, words, str(attributes.get("error.type") or "the span ended with an error"))
        else:
            claim(node, words)

    def _count(self, span: ReadableSpan) -> None:
        if span.parent is None:
            return
        with self._lock:
            self._around[span.parent.trace_id, span.parent.span_id] = None
            if len(self._around) > _REMEMBERED:
                self._around.popitem(last=False)

    def _counted_inside(self, key: _SpanKey) -> bool:
        with self._lock:
            return self._around.pop(key, False) is None

    def shutdown(self) -> None:
        """Forget the spans that have not ended."""
        self._calls.clear()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - theirs
        """Nothing is held back here; the meter flushes."""
        return True


def _key(span: ReadableSpan) -> _SpanKey | None:
    context = span.get_span_context()
    return None if context is None else (context.trace_id, context.span_id)
