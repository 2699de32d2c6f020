"""The tap of httpx2, the successor of httpx that current SDKs of model providers use."""

from __future__ import annotations

from types import ModuleType

from taximeter.instrument.httpx_family import tap_family
from taximeter.instrument.patches import Patches

NAME = "httpx2"


def wrap(module: ModuleType, patches: Patches) -> None:
    """Tap the module `httpx2`."""
    tap_family(module, NAME, patches)
