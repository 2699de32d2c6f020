"""Taximeter's SDK: what an executor imports to have its runs metered.

meter = Meter.from_environment()
with meter.run(account_id="acme", workflow_id="digest") as run:
    with run.node("summarise", node_type="ai") as node:
        node.ai(provider="openai", model="gpt-4o", input_tokens=812, output_tokens=64)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from taximeter.current import current_node, current_run
from taximeter.hooks import AsyncNodeHooks, NodeHooks
from taximeter.meter import Meter

if TYPE_CHECKING:
    from taximeter.settings import MeterSettings

__all__ = ["AsyncNodeHooks", "Meter", "MeterSettings", "NodeHooks", "current_node", "current_run"]


def __getattr__(name: str) -> object:
    # Settings load pydantic, which a process that makes no meter should not pay for.
    if name == "MeterSettings":
        from taximeter.settings import MeterSettings

        return MeterSettings
    raise AttributeError(f"module 'taximeter' has no attribute {name!r}")
