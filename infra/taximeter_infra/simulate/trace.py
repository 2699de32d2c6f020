"""Events from a trace of a real service: one AI event for each of its requests, at its instant, with its tokens.

A trace is a CSV with the columns TIMESTAMP, ContextTokens and GeneratedTokens, such as the Azure LLM inference traces.
It is read and checked whole before the first event is made, so a bad line costs nothing.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final

from taximeter_infra.simulate.generator import run_sizes, unix_micros
from taximeter_infra.simulate.plan import SimulationPlan
from taximeter_infra.simulate.run_facts import RunFacts, draw_facts, rng_of_run
from taximeter_infra.simulate.run_script import stamped
from taximeter_infra.simulate.uses import ai_of, draw_model
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.event import MeterEvent, Quality

COLUMNS: Final = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
# How many runs are under way at any time.
OPEN_RUNS = 32


@dataclass(frozen=True)
class TraceRow:
    """One request: when it came (Unix microseconds) and its tokens."""

    moment_us: int
    input_tokens: int
    output_tokens: int


def read_trace(path: Path, most: int | None = None) -> Sequence[TraceRow]:
    """The first `most` rows of a trace, all of them without it. Times without a zone are UTC.

    Raises Misconfigured with the line's number where the file is not such a trace.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise _bad(path, 1, f"the header lacks {', '.join(missing)}")
            rows = [_row(path, reader.line_num, cells) for cells in islice(reader, most)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Misconfigured(f"the trace {path} cannot be read: {error}", mend="give --trace a readable CSV") from error
    if not rows:
        raise _bad(path, 2, "there are no rows")
    return rows


def trace_events(plan: SimulationPlan, rows: Sequence[TraceRow]) -> Iterator[MeterEvent]:
    """One event for each row, in the order of the rows. The first happens at `plan.first_instant`, the others as long
    after it as in the trace."""
    salt = f"{plan.salt}/{digest_of(rows)}"
    rng = Random(f"{salt}/trace")  # noqa: S311 - a simulation, not a secret
    shift_us = unix_micros(plan.first_instant) - rows[0].moment_us
    waiting = enumerate(run_sizes(len(rows), plan.run_count, rng))
    latest_run: dict[str, str] = {}
    open_runs: list[_OpenRun] = []
    for row in rows:
        moment_us = row.moment_us + shift_us
        if len(open_runs) < OPEN_RUNS:
            fresh = next(waiting, None)
            if fresh is not None:
                run_rng = rng_of_run(salt, fresh[0])
                facts = draw_facts(run_rng, plan.accounts, moment_us, latest_run)
                open_runs.append(_OpenRun(facts, fresh[1], run_rng))
        place = rng.randrange(len(open_runs))
        yield open_runs[place].event(row, moment_us)
        if open_runs[place].left == 0:
            open_runs.pop(place)


def digest_of(rows: Sequence[TraceRow]) -> str:
    """What tells one trace from another."""
    digest = hashlib.blake2b(digest_size=8)
    for row in rows:
        digest.update(f"{row.moment_us},{row.input_tokens},{row.output_tokens};".encode())
    return digest.hexdigest()


class _OpenRun:
    """A run that still takes rows."""

    def __init__(self, facts: RunFacts, size: int, rng: Random) -> None:
        self._facts = facts
        self._rng = rng
        self._visit = 0
        self.left = size

    def event(self, row: TraceRow, moment_us: int) -> MeterEvent:
        """The event of a row; the run has one row less to take."""
        rng = self._rng
        self._visit += 1
        self.left -= 1
        model = draw_model(rng)
        while model.embeds:
            model = draw_model(rng)
        # About 20 ms for each token that is generated.
        duration_us = 50_000 + int(row.output_tokens * rng.uniform(12_000, 30_000))
        return MeterEvent(
            **self._facts.identity,
            **stamped(rng, moment_us),
            node_id=f"answer-{self._visit}",
            node_type="ai",
            duration_us=duration_us,
            ai=ai_of(rng, model, (row.input_tokens, row.output_tokens), Quality.REPORTED),
        )


def _row(path: Path, line: int, cells: Mapping[str, str | None]) -> TraceRow:
    stamp, context, generated = (cells[column] or "" for column in COLUMNS)
    try:
        moment = datetime.fromisoformat(stamp.strip())
    except ValueError as error:
        raise _bad(path, line, f"TIMESTAMP {stamp!r} is not a time") from error
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return TraceRow(unix_micros(moment), _tokens(path, line, context), _tokens(path, line, generated))


def _tokens(path: Path, line: int, cell: str) -> int:
    text = cell.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise _bad(path, line, f"{cell!r} is not a count of tokens")
    return int(text)


def _bad(path: Path, line: int, what: str) -> Misconfigured:
    return Misconfigured(f"{path}, line {line}: {what}", mend=f"give a CSV with the columns {', '.join(COLUMNS)}")
