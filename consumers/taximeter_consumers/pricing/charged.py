"""The SQL that says what each event costs, for whoever sums it up."""

from __future__ import annotations

from functools import cache
from importlib import resources
from string import Template


def charged_events(scope: str) -> str:
    """A query of the deduplicated events that meet `scope`, with the further columns `cost` (US dollars, Decimal of 76
    digits, 18 places) and `cost_source`. `scope` is a condition over stored_events that treats all copies of an event
    alike or is applied after FINAL."""
    return _template().substitute(scope=scope)


@cache
def _template() -> Template:
    return Template((resources.files("taximeter_consumers.pricing") / "charged_events.sql").read_text(encoding="utf-8"))
