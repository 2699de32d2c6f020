"""Pydantic AI: a model that wraps another and claims each of its requests.

    agent = Agent(MeteredModel("openai:gpt-4o"))

Wrapping a model is the framework's own, oldest way in, and the only one that sees each request with its response id;
a run's `usage()` is a sum over models, and spans are there only where instrumentation is switched on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import ModelRequestParameters, StreamedResponse
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from taximeter.bridges.claim import AnyNode, claim, claim_failed, quiet
from taximeter.bridges.counters import counters_of
from taximeter.bridges.names import provider_name
from taximeter.current import current_node
from taximeter.usage.objects import member


class MeteredModel(WrapperModel):
    """The wrapped model, whose requests are use of the node that is current when they begin."""

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """One request, not streamed."""
        node = current_node()
        try:
            response = await self.wrapped.request(messages, model_settings, model_request_parameters)
        except BaseException as error:
            _claim_failed(node, self, error)
            raise
        _claim(node, self, response)
        return response

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: Any = None,
    ) -> AsyncIterator[StreamedResponse]:
        """One request, streamed. It is claimed when the stream is left, as far as it got."""
        node = current_node()
        stream: StreamedResponse | None = None
        try:
            async with self.wrapped.request_stream(
                messages, model_settings, model_request_parameters, run_context
            ) as stream:
                yield stream
        except BaseException as error:
            _claim_failed(node, self, error, stream)
            raise
        _claim_stream(node, self, stream)


@quiet
def _claim(node: AnyNode, model: MeteredModel, response: ModelResponse) -> None:
    claim(node, _words(model, response))


@quiet
def _claim_stream(node: AnyNode, model: MeteredModel, stream: StreamedResponse) -> None:
    response = stream.get()
    words = _words(model, response)
    # A stream that was left early has not said all of it.
    if getattr(response, "state", "complete") != "complete":
        words["quality"] = "partial" if "input_tokens" in words else "missing"
    claim(node, words)


@quiet
def _claim_failed(
    node: AnyNode, model: MeteredModel, error: BaseException, stream: StreamedResponse | None = None
) -> None:
    words = _identity(model) if stream is None else _words(model, stream.get())
    claim_failed(node, words, error)


def _identity(model: MeteredModel) -> dict[str, Any]:
    return {"provider": provider_name(model.wrapped.system), "model": model.wrapped.model_name, "usage_type": "text"}


def _words(model: MeteredModel, response: ModelResponse) -> dict[str, Any]:
    words = _identity(model)
    words["model"] = response.model_name or words["model"]
    words["provider"] = provider_name(response.provider_name) or words["provider"]
    words["response_id"] = getattr(response, "provider_response_id", None)
    words["service_tier"] = _service_tier(getattr(response, "provider_details", None))
    usage = response.usage
    # The framework's counters begin at 0; where all of them are, the response has stated none.
    if usage is not None and usage.has_values() and not getattr(usage, "unmeasured_requests", 0):
        words |= counters_of({name: value for name, value in vars(usage).items() if value or name in _ALWAYS})
    return words


def _service_tier(details: object) -> str | None:
    said = (member(details, name) for name in ("service_tier", "traffic_type"))
    return next((tier for tier in said if isinstance(tier, str)), None)


_ALWAYS = ("input_tokens", "output_tokens")
