"""`charge`: token counts that a workflow knows already are handed over at once, with an answer.

True: the event is in the emitter's queue, from where it is sent, spooled or, at worst, counted as lost. False: it
is not, because the words are wrong, the meter is closed or switched off, or there was no room just then.
Never raises, never waits beyond the meter's own bound for a full queue (0 unless the settings say otherwise).
"""

from __future__ import annotations

from typing import NamedTuple

from taximeter.bridges.counters import is_count
from taximeter.bridges.names import provider_name
from taximeter.meter import Meter


class TokenCharge(NamedTuple):
    """What is charged, and to whom. `flow_id` is the run."""

    flow_id: str
    user_id: str
    input_tokens: int
    output_tokens: int
    model: str
    ai_system: str


def charge(meter: Meter, what: TokenCharge) -> bool:
    """Emit one event of kind usage. Input tokens include cache reads and writes, output tokens reasoning."""
    try:
        if not _sound(what):
            meter.faults.note(
                "charge_tokens", "tokens are whole numbers from 0, the rest are texts; nothing was charged"
            )
            return False
        return meter.try_usage(
            run_id=what.flow_id or None,
            user_id=what.user_id or None,
            ai={
                "provider": provider_name(what.ai_system),
                "model": what.model,
                "input_tokens": what.input_tokens,
                "output_tokens": what.output_tokens,
                "usage_type": "text",
                "quality": "reported",
            },
        )
    except Exception as error:  # noqa: BLE001 - the promise: it never raises into a workflow
        meter.faults.note("charge_tokens", error)
        return False


def _sound(what: TokenCharge) -> bool:
    texts = (what.flow_id, what.user_id, what.model, what.ai_system)
    return (
        all(isinstance(text, str) for text in texts)
        and bool(what.model)
        and is_count(what.input_tokens)
        and is_count(what.output_tokens)
    )
