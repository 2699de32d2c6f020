"""What runs of a workflow used so far: the ground of a quote. It only reads.

It rests on runs of customers that are over, retries included: what the run's own nodes used. A run that another one
started has a workflow of its own, and is no part of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any, Final

from taximeter_consumers.quota.truth.usage import sums_of
from taximeter_schemas.money import plain
from taximeter_schemas.quota.answers import Quotation, QuotedNode
from taximeter_schemas.quota.meters import METERS, UNITS_OF_PLUGINS, ZERO

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse

FEW_RUNS: Final = 20
"""With fewer runs than these the quantiles of a run are the sums of those of its nodes."""
# A run that used something as lately as this may go on.
_QUIET_SECONDS: Final = 300
# The newest runs say enough.
_MOST_RUNS: Final = 10_000
_QUANTILES: Final = (50, 95)


def quotation(clickhouse: ClickHouse, account_id: str, workflow_id: str, since: int) -> Quotation:
    """What runs of a workflow that began at `since` (Unix microseconds) or later used, at the median and at the 95th
    percentile: for each meter a value that some run had, so rounded up, exact to the last digit; by run and by node,
    of the runs that had the node. The cost of `lacking` of the `runs` is not all known, and so higher than it says.

    Fewer runs than FEW_RUNS say little about their worst one: then what each node may use is added up, which is more
    than most runs use. Without any run there are no amounts: unknown is not zero. Raises Retryable.
    """
    parameters = {"account": account_id, "workflow": workflow_id, "since": max(0, since)}
    bounds = {"quiet": _QUIET_SECONDS, "most": _MOST_RUNS}
    rows = clickhouse.rows(_sql(), parameters | bounds)
    if not rows:
        return Quotation(workflow_id=workflow_id, runs=0, lacking=0, since=since, p50={}, p95={})
    (_, _, runs, lacking, *texts), *of_nodes = rows
    nodes = tuple(_node(row) for row in of_nodes)
    p50, p95 = _amounts(runs, texts)
    if runs < FEW_RUNS:
        p50, p95 = sums_of([node.p50 for node in nodes]), sums_of([node.p95 for node in nodes])
    return Quotation(workflow_id=workflow_id, runs=runs, lacking=lacking, since=since, p50=p50, p95=p95, nodes=nodes)


def _node(row: Sequence[Any]) -> QuotedNode:
    name, kind, runs, _, *texts = row
    p50, p95 = _amounts(runs, texts)
    return QuotedNode(node_id=name[1:], node_type=kind, runs=runs, p50=p50, p95=p95)


def _amounts(runs: int, answers: Sequence[Any]) -> tuple[Mapping[str, Decimal], Mapping[str, Decimal]]:
    """The quantiles of all meters, those of units of plugins from what each run used of them."""
    *texts, units = answers
    found: list[dict[str, Decimal]] = []
    for number, percent in enumerate(_QUANTILES):
        values = dict(zip(METERS, texts[number :: len(_QUANTILES)], strict=True))
        amounts: dict[str, Decimal] = {name: Decimal(text) for name, text in values.items()}
        for unit in sorted({unit for of_run in units for unit in of_run}):
            used = sorted(of_run.get(unit, ZERO) for of_run in units)
            amounts[f"{UNITS_OF_PLUGINS}{unit}"] = Decimal(plain(used[-(-percent * runs // 100) - 1]))
        found.append(amounts)
    return found[0], found[1]


@cache
def _sql() -> str:
    template = Template((resources.files("taximeter_consumers.quota.truth") / "quotes.sql").read_text(encoding="utf-8"))
    place = "intDiv({percent} * count() + 99, 100)"
    quantiles = (
        f"toString(arraySort(groupArray({meter}_sum))[{place.format(percent=percent)}])"
        for meter in METERS
        for percent in _QUANTILES
    )
    return template.substitute(
        quantiles=", ".join(quantiles), sums=", ".join(f"sum({meter}) AS {meter}_sum" for meter in METERS)
    )
