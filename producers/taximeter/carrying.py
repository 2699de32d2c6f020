"""Carrying: an outlet for one node whose events stand under an attribution of their own, such as a transaction."""

from __future__ import annotations

from taximeter.attribution import Attribution
from taximeter.emission import Emission, Outlet
from taximeter.faults import Faults


class Carrying:
    """Passes everything on, under `attribution`."""

    def __init__(self, outlet: Outlet, attribution: Attribution) -> None:
        self._outlet = outlet
        self._attribution = attribution

    @property
    def faults(self) -> Faults:
        """Where hooks note what went wrong."""
        return self._outlet.faults

    def offer(self, emission: Emission) -> bool:
        """Pass it on."""
        return self._outlet.offer(emission._replace(attribution=self._attribution))
