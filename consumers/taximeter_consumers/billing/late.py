"""What is still to be billed: charges of now minus everything that was billed before. Pure.

Issued invoices never change. When events come late, or a re-rating or a correction alters what a closed period costs,
the difference is a line on the next invoice. So the usage and late lines of all invoices together are always the
charges of the periods that they cover, whatever came when.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from taximeter_consumers.billing.lines import NOTHING, Charge, Key, Kind, Line, usage_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Charges = Mapping[str, Mapping[Key, Charge]]
    """Charges by the label of their period."""


def billed(lines: Iterable[Line]) -> dict[str, dict[Key, Charge]]:
    """What usage and late lines have billed, by the period that it was for."""
    sums: defaultdict[str, dict[Key, Charge]] = defaultdict(dict)
    for line in lines:
        if line.kind in (Kind.USAGE, Kind.LATE) and line.key is not None:
            of_period = sums[line.period]
            of_period[line.key] = of_period.get(line.key, NOTHING) + line.charge
    return dict(sums)


def unbilled(charges: Charges, before: Charges, period: str) -> list[Line]:
    """The lines that bring what was billed `before` to `charges`: usage lines for `period`, late lines for the others.

    Where `before` has a period that `charges` has not, all that was billed for it is taken back.
    """
    lines = []
    for label in sorted({*charges, *before}):
        kind = Kind.USAGE if label == period else Kind.LATE
        lines += usage_lines(kind, label, _differences(charges.get(label, {}), before.get(label, {})))
    return sorted(lines, key=lambda line: line.kind is Kind.LATE)


def _differences(now: Mapping[Key, Charge], before: Mapping[Key, Charge]) -> dict[Key, Charge]:
    return {key: now.get(key, NOTHING) - before.get(key, NOTHING) for key in {*now, *before}}
