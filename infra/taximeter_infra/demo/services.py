"""Taximeter's own long-running commands as children of the demo: they end with it, however it ends."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taximeter_infra.stack.child import Child, ChildSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import ExitStack

    from taximeter_infra.stack.plan import StackAddresses


@dataclass(frozen=True)
class Starter:
    """Starts commands at a stack; `held` ends them. Logs lie under the stack's data directory."""

    held: ExitStack
    addresses: StackAddresses

    def start(self, name: str, *command: str, environment: Mapping[str, str] | None = None) -> Child:
        """Starts `taximeter COMMAND...`; `name` is that of its log."""
        argv = (sys.executable, "-m", "taximeter_infra", *command)
        told = {**self.addresses.environment(), **(environment or {})}
        child = Child.start(ChildSpec(name, argv, self.addresses.data_dir / "demo" / f"{name}.log", environment=told))
        self.held.callback(child.stop)
        return child
