"""The headings under which `taximeter --help` lists the commands."""

from __future__ import annotations

from typing import Final


class Panel:
    """One heading for each question that a newcomer has."""

    STACK: Final = "Servers on this machine"
    PIPELINE: Final = "From events to costs"
    ANSWERS: Final = "What happened, and what it cost"
    QUOTAS: Final = "Quotas: who may use how much"
    MONEY: Final = "Prices, invoices and proof"
