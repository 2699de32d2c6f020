"""What the harness says: a table for people, JSON for machines, and for every failure how to see it again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from chaos.scenario import Outcome

OUT = Path(__file__).parent / "out"
_PIPE_WIDTH = 130
_SHOWN = 5


def as_json(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """All runs, one by one."""
    return {
        "runs": len(outcomes),
        "green": sum(outcome.green for outcome in outcomes),
        "outcomes": [
            {
                "fault": outcome.run.fault.name,
                "seed": outcome.run.seed,
                "green": outcome.green,
                **({"skipped": outcome.skipped} if outcome.skipped else {}),
                "seconds": outcome.seconds,
                "injected": outcome.injected,
                "facts": outcome.facts,
                "problems": {
                    name: {"count": len(found), "first": found[:_SHOWN]} for name, found in outcome.problems.items()
                },
                "again": outcome.run.again,
            }
            for outcome in outcomes
        ],
    }


def write(outcomes: Sequence[Outcome], name: str) -> Path:
    """Writes the JSON to `chaos/out/NAME.json`."""
    OUT.mkdir(exist_ok=True)
    path = OUT / f"{name}.json"
    path.write_text(json.dumps(as_json(outcomes), indent=2) + "\n", encoding="utf-8")
    return path


def show(outcomes: Sequence[Outcome], console: Console) -> None:
    """One line for each fault: runs, how many held, seconds, and what was seen on the way."""
    table = Table(title="chaos", title_justify="left")
    for heading in ("fault", "runs", "held", "s/run", "events", "copies: producer", "sink", "dead letters"):
        table.add_column(heading, justify="left" if heading == "fault" else "right")
    by_fault: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_fault.setdefault(outcome.run.fault.name, []).append(outcome)
    for name, runs in by_fault.items():
        held = sum(outcome.green for outcome in runs)
        seconds = f"{median(outcome.seconds for outcome in runs):.1f}"
        sums = [_sum(runs, fact) for fact in ("rows", "copies_by_producer", "copies_by_sink", "dead_letters")]
        style = None if held == len(runs) else "red"
        table.add_row(name, str(len(runs)), str(held), seconds, *(f"{number:,}" for number in sums), style=style)
    console.print(table)


def told(outcome: Outcome) -> str:
    """A failure in some lines: what does not hold, where its data are, how to run it again."""
    lines = [f"RED {outcome.run.fault.name}, seed {outcome.run.seed}: {'; '.join(outcome.injected) or 'nothing done'}"]
    for name, found in outcome.problems.items():
        lines += [f"  {name}: {problem}" for problem in found[:_SHOWN]]
        if len(found) > _SHOWN:
            lines.append(f"  {name}: and {len(found) - _SHOWN} more")
    lines.append(f"  journal and logs: {outcome.folder}")
    lines.append(f"  data: database {outcome.database or '(none)'} in {outcome.servers or outcome.folder}")
    lines.append("  (TAXIMETER_DATA_DIR=that directory, then `taximeter up` opens it)")
    lines.append(f"  again: {outcome.run.again}")
    return "\n".join(lines)


def _sum(runs: Sequence[Outcome], fact: str) -> int:
    return sum(int(outcome.facts.get(fact, 0)) for outcome in runs)


def console(*, stderr: bool = False) -> Console:
    """A console that keeps its width in a pipe."""
    made = Console(stderr=stderr, highlight=False)
    return made if made.is_terminal else Console(stderr=stderr, highlight=False, width=_PIPE_WIDTH)
