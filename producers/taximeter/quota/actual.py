"""What a node really used, by meter: read from its own records at its end, to settle its ticket.

A cost is not known here, because prices are not: it is left out, and the estimate stands. So do token meters of a node
one of whose calls did not say what it used: unknown is not zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from taximeter.attribution import Attribution
from taximeter.emission import Emission, Outlet
from taximeter.emitter.reading import used_by
from taximeter.faults import Faults
from taximeter.quota.grains import Amount
from taximeter.quota.ticket import Ticket
from taximeter.seen import Seen
from taximeter.tally import Used
from taximeter_schemas.quota.meters import COST, UNITS_OF_PLUGINS, WHOLE_METERS, known_meter
from taximeter_schemas.words import Quality

_TOKENS: Final = ("total_tokens", "input_tokens", "output_tokens")
_CODE: Final = "code"


class _Unheard(Faults):
    """The emitter's thread reads the same records and says what is wrong with them; once is enough."""

    def say(self, place: str, line: str) -> None:
        """Nothing."""


_UNHEARD = _Unheard()


def amounts_used(used: Used) -> dict[str, Amount]:
    """Amounts of all meters that records tell of, zeros included."""
    found: dict[str, Amount] = dict.fromkeys(WHOLE_METERS, 0)
    for meter in _TOKENS:
        found[meter] = sum(ai.get(meter, 0) for ai in used.ai)
    if any(ai.get("quality") == Quality.MISSING for ai in used.ai):
        for meter in _TOKENS:
            del found[meter]
    http = used.http or {}
    found["http_requests"] = http.get("requests", 0)
    found["http_bytes"] = http.get("bytes_out", 0) + http.get("bytes_in", 0)
    for plugin in used.plugin:
        found["plugin_invocations"] += plugin.get("invocations", 0)
        for unit, amount in plugin.get("custom_units", {}).items():
            _add_unit(found, unit, amount)
    return found


def _add_unit(found: dict[str, Amount], unit: str, amount: Decimal) -> None:
    try:
        meter = known_meter(UNITS_OF_PLUGINS + unit)
    except ValueError:
        return
    found[meter] = found.get(meter, Decimal(0)) + amount


class Settling:
    """An outlet for one node: what goes through carries the ticket's transaction, and the end settles the ticket."""

    def __init__(self, outlet: Outlet, attribution: Attribution, ticket: Ticket, meters: Iterable[str]) -> None:
        """`meters` are those that the ticket is for: where no record tells of a plugin's unit, none was used."""
        self._outlet = outlet
        self._ticket = ticket
        transaction_id = ticket.transaction_id
        self._attribution = {**attribution, "transaction_id": transaction_id} if transaction_id else attribution
        self._sums: dict[str, Amount] = {meter: 0 for meter in meters if meter.startswith(UNITS_OF_PLUGINS)}
        self._unknown: set[str] = set()

    @property
    def faults(self) -> Faults:
        """Where hooks note what went wrong."""
        return self._outlet.faults

    def offer(self, emission: Emission) -> bool:
        """Pass it on; the node's end settles its ticket."""
        taken = self._outlet.offer(emission._replace(attribution=self._attribution))
        found = amounts_used(used_by(emission.notes, _UNHEARD, Seen()))
        if emission.duration_us is not None:
            found["executions"] = 1
            if emission.node_type == _CODE:
                found["code_us"] = emission.duration_us
        self._unknown.update(meter for meter in _TOKENS if meter not in found)
        for meter, amount in found.items():
            self._sums[meter] = self._sums.get(meter, 0) + amount
        if emission.duration_us is not None:
            unknown = {COST, *self._unknown}
            self._ticket.done({meter: amount for meter, amount in self._sums.items() if meter not in unknown})
        return taken
