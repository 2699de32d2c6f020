"""Which tests run in one process, one after the other: those of a module, for they share what they start.

But each fault of the harness stands for itself and takes half a minute: in one process they would go on when the other
processes have nothing left to do.
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

_APART = "tests/chaos/test_faults.py::"


class Scheduling(LoadScopeScheduling):
    """By module, faults apart."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(_APART) else super()._split_scope(nodeid)
