"""Plugin nodes: named pieces of local work that count in units of their own (pages, credits)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from examples.dag_executor.executor import NodeCall
from examples.dag_executor.results import NodeError, NodeResult, PluginUse

Plugin = Callable[[Mapping[str, Any]], tuple[Any, PluginUse]]

CHARACTERS_A_PAGE = 1800
CREDITS_EXACT = Decimal("0.75")
CREDITS_FUZZY = Decimal("1.25")


def pdf(inputs: Mapping[str, Any]) -> tuple[Any, PluginUse]:
    """Split `document` into pages; the unit is `pages`."""
    text = str(inputs["document"])
    pages = [text[at : at + CHARACTERS_A_PAGE] for at in range(0, len(text), CHARACTERS_A_PAGE)]
    return pages[0][:400] if pages else "", PluginUse("pdf", 1, {"pages": Decimal(len(pages))})


def geocode(inputs: Mapping[str, Any]) -> tuple[Any, PluginUse]:
    """Look up each of `addresses`; an address with a house number costs fewer credits than one without."""
    addresses = [str(address) for address in inputs["addresses"]]
    places = {address: (sum(address.encode()) % 180 - 90, len(address) % 360 - 180) for address in addresses}
    exact = sum(1 for address in addresses if any(character.isdigit() for character in address))
    credits_used = exact * CREDITS_EXACT + (len(addresses) - exact) * CREDITS_FUZZY
    units = {"lookups": Decimal(len(addresses)), "credits": credits_used}
    return places, PluginUse("geocode", len(addresses), units)


class PluginNode:
    """Runs the plugin that the node's config names in `plugin`. The run's inputs are the plugin's inputs."""

    def __init__(self, plugins: Mapping[str, Plugin] | None = None) -> None:
        self._plugins = dict(plugins or {"pdf": pdf, "geocode": geocode})

    def __call__(self, call: NodeCall) -> NodeResult:
        name = call.node.config["plugin"]
        if name not in self._plugins:
            raise NodeError(f"no plugin is called {name}; there are: {', '.join(sorted(self._plugins))}")
        output, use = self._plugins[name](call.run.inputs)
        return NodeResult(output=output, plugin=use)
