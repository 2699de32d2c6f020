"""What must hold after the demo, as pure judgements over two independent counts.

One count is the executor's own tally of what its nodes did. The other comes out of ClickHouse, at the far end of the
pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Row = dict[str, Any]
_TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")


@dataclass(frozen=True)
class Check:
    """A sentence that must be true, and the two numbers behind it."""

    what: str
    expected: object
    found: object

    @property
    def holds(self) -> bool:
        """Whether it is true."""
        return self.expected == self.found


@dataclass(frozen=True)
class Seen:
    """What came out of the pipeline: `reports` has the rows of each report, `sums` the cost by each rollup."""

    stored: int
    dead_letters: int
    totals: Row
    reports: Mapping[str, Sequence[Row]]
    sums: Mapping[str, Decimal]


def judge(summary: Mapping[str, Any], seen: Seen) -> list[Check]:
    """Every check, in the order in which a person would ask."""
    tally, emitted = summary["tally"], summary["events_emitted"]
    attempts = tally["attempts"]
    checks = [
        Check(
            "the meter emitted an event for each attempt and each further model", tally["events"], emitted["accepted"]
        ),
        Check("Kafka acknowledged every event", emitted["accepted"], emitted["acknowledged"]),
        Check("no event was dropped, no hook failed", (0, 0), (emitted["dropped"], emitted["hook_errors"])),
        Check("events emitted = events stored", emitted["acknowledged"], seen.stored),
        Check("no dead letters", 0, seen.dead_letters),
        Check("every run has a cost row", tally["runs"]["total"], len(seen.reports["runs"])),
        Check("attempts = node executions", attempts["total"], seen.totals["executions"]),
        Check("attempts by outcome", attempts["by_outcome"], _outcomes(seen.totals)),
        Check("attempts by node type", attempts["by_node_type"], _by(seen.reports["node_types"], "node_type")),
        Check("tokens by model", _told(tally["models"]), _models(seen.reports["models"])),
    ]
    costs = set(seen.sums.values())
    checks.append(Check(f"one cost to the last digit over {', '.join(seen.sums)}", 1, len(costs)))
    return checks


def _outcomes(totals: Row) -> dict[str, int]:
    names = {"successes": "success", "errors": "error", "timeouts": "timeout", "cancellations": "cancelled"}
    return {name: totals[column] for column, name in sorted(names.items(), key=lambda pair: pair[1]) if totals[column]}


def _by(rows: Iterable[Row], column: str) -> dict[str, int]:
    return {row[column]: row["executions"] for row in rows}


def _told(models: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    return {name: {unit: counts.get(unit, 0) for unit in _TOKENS} for name, counts in models.items()}


def _models(rows: Iterable[Row]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        counts = found.setdefault(f"{row['provider']}/{row['model']}", dict.fromkeys(_TOKENS, 0))
        for unit in _TOKENS:
            counts[unit] += row[unit]
    return found
