"""All faults, by name: what the modules of this folder have in their `FAULTS`."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from chaos.faults.fault import Fault


def all_faults() -> dict[str, Fault]:
    """Every fault there is, in the order of the modules' names."""
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    found = [fault for module in modules for fault in getattr(module, "FAULTS", ())]
    faults = {fault.name: fault for fault in found}
    if len(faults) != len(found):
        raise AssertionError("two faults have one name")
    return faults
