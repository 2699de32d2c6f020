"""Taximeter's SDK: what an executor imports to have its runs metered.

meter = Meter.from_environment()
with meter.run(account_id="acme", workflow_id="digest") as run:
    with run.node("summarise", node_type="ai") as node:
        node.ai(provider="openai", model="gpt-4o", input_tokens=812, output_tokens=64)
"""

from taximeter.current import current_node, current_run
from taximeter.hooks import AsyncNodeHooks, NodeHooks
from taximeter.meter import Meter
from taximeter.settings import MeterSettings

__all__ = ["AsyncNodeHooks", "Meter", "MeterSettings", "NodeHooks", "current_node", "current_run"]
