"""The tap of httpx."""

from __future__ import annotations

from types import ModuleType

from taximeter.instrument.httpx_family import tap_family
from taximeter.instrument.patches import Patches

NAME = "httpx"


def wrap(module: ModuleType, patches: Patches) -> None:
    """Tap the module `httpx`, 0.27 or newer."""
    tap_family(module, NAME, patches)
