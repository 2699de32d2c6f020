"""A plain callable for agent frameworks that report use by a function of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from taximeter.bridges.claim import claim
from taximeter.bridges.counters import counters_of
from taximeter.bridges.names import provider_name
from taximeter.current import current_node
from taximeter.meter import Meter
from taximeter.nothing import NullNode

UsageHandler = Callable[..., None]

_IDS = ("response_id", "id", "request_id", "generation_id")


def usage_handler(meter: Meter) -> UsageHandler:
    """A `handler(user_id, thread_id, agent_name, model, provider, usage, provider_metadata)`, by place or by name.

    Inside a run, the use is the current node's. Outside, it is an event of kind usage of that user, thread and agent.
    `usage` is a mapping or an object of any common shape; with none the quality is `missing`. Never raises.
    """

    def handle(*given: object, **named: object) -> None:
        try:
            _handle(meter, dict(zip(_WORDS, given, strict=False)) | named)
        except Exception as error:  # noqa: BLE001 - the promise: no bridge ever raises into the host
            meter.faults.note("usage_handler", error)

    return handle


_WORDS = ("user_id", "thread_id", "agent_name", "model", "provider", "usage", "provider_metadata")


def _handle(meter: Meter, said: Mapping[str, Any]) -> None:
    metadata = said.get("provider_metadata")
    tier = metadata.get("service_tier") if isinstance(metadata, Mapping) else None
    words: dict[str, Any] = {
        "provider": provider_name(said.get("provider")),
        "model": said.get("model"),
        "response_id": _response_id(metadata, said.get("usage")),
        "service_tier": tier if isinstance(tier, str) else None,
        **counters_of(said.get("usage")),
    }
    node = current_node()
    if not isinstance(node, NullNode):
        claim(node, words)
        return
    meter.usage(
        user_id=said.get("user_id"),
        thread_id=said.get("thread_id"),
        agent_name=said.get("agent_name") or "",
        ai={name: value for name, value in words.items() if value is not None},
    )


def _response_id(*holders: object) -> str | None:
    for holder in holders:
        for name in _IDS:
            found = holder.get(name) if isinstance(holder, Mapping) else None
            if isinstance(found, str) and found:
                return found
    return None
