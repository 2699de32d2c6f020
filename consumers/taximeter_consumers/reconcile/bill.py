"""What a provider billed, read from the CSV that it exports: days (UTC), models, dollars, tokens. Pure.

Lines of one day and model are summed, so a file may be split by key, project, tier or kind of token as it likes.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from taximeter_consumers.reconcile import columns
from taximeter_consumers.reconcile.columns import Row
from taximeter_schemas.errors import Misconfigured

_PLAIN: Final = "date,model,cost_usd[,input_tokens,output_tokens,requests]"


@dataclass(frozen=True)
class BillLine:
    """One day (UTC) of one model. None: the file does not say. `provider` may be empty."""

    day: date
    provider: str
    model: str
    cost_usd: Decimal | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    requests: int | None = None

    @property
    def tokens(self) -> int | None:
        """Input and output together."""
        return _plus(self.input_tokens, self.output_tokens)


@dataclass(frozen=True)
class Bill:
    """A file. `rows` were read; `empty` of them state nothing, as days without use do."""

    lines: tuple[BillLine, ...]
    has_cost: bool
    has_models: bool
    rows: int = 0
    empty: int = 0

    @property
    def providers(self) -> tuple[str, ...]:
        """Whose lines there are."""
        return tuple(sorted({line.provider for line in self.lines}))

    def within(self, since: date | None, until: date | None) -> Bill:
        """The days from `since` on and before `until`."""
        kept = tuple(
            line for line in self.lines if (not since or line.day >= since) and (not until or line.day < until)
        )
        return Bill(kept, self.has_cost, self.has_models, self.rows, self.empty)


@dataclass(frozen=True)
class _Columns:
    """Where a file says what."""

    day: str
    model: str | None
    provider: str | None
    cost: str | None
    currency: str | None
    input_tokens: tuple[str, ...]
    output_tokens: tuple[str, ...]
    requests: tuple[str, ...]


def read_bill(text: Iterable[str], provider: str | None = None) -> Bill:
    """The bill in the lines of a CSV file. `provider` overrides what the columns tell.

    Raises Misconfigured, which names the missing columns, or the line and column that cannot be read.
    """
    rows = csv.reader(text)
    headings = [cell.strip().lstrip("\ufeff").strip('"').lower() for cell in next(rows, [])]
    known = _columns(headings)
    named = (provider or columns.provider_of(frozenset(headings))).lower()
    summed: dict[tuple[date, str, str], BillLine] = {}
    read = empty = 0
    for cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        read += 1
        line = _line(dict(zip(headings, cells, strict=False)), known, named, rows.line_num)
        if line.cost_usd is None and line.tokens is None and line.requests is None:
            empty += 1
            continue
        key = (line.day, line.provider, line.model)
        summed[key] = _sum(summed[key], line) if key in summed else line
    lines = tuple(summed[key] for key in sorted(summed))
    return Bill(lines, known.cost is not None, any(line.model for line in lines), read, empty)


def _columns(headings: list[str]) -> _Columns:
    there = frozenset(headings)
    day, cost = columns.first_of(columns.DAY, there), columns.first_of(columns.COST, there)
    inputs = columns.group_of(columns.INPUT_TOKENS, there)
    missing = [] if day else [f"the day ({' or '.join(columns.DAY)})"]
    if not cost and not inputs:
        missing.append(f"the cost ({' or '.join(columns.COST)}) or tokens (input_tokens and output_tokens)")
    if not day or missing:
        raise Misconfigured(
            f"the bill has no column for {', nor for '.join(missing)}; its columns are"
            f" {', '.join(headings) or '(none)'}",
            mend=f"export it by day and model with those columns, or write it as {_PLAIN}",
        )
    return _Columns(
        day,
        columns.first_of(columns.MODEL, there),
        columns.first_of(columns.PROVIDER, there),
        cost,
        columns.first_of(columns.CURRENCY, there),
        inputs,
        columns.group_of(columns.OUTPUT_TOKENS, there),
        columns.group_of(columns.REQUESTS, there),
    )


def _line(row: Row, known: _Columns, provider: str, number: int) -> BillLine:
    column = known.day
    try:
        day = columns.day_in(row.get(known.day, ""))
        column = known.cost or ""
        cost = columns.amount_in(row.get(column, "")) if known.cost else None
        column = ", ".join((*known.input_tokens, *known.output_tokens, *known.requests))
        counts = [columns.count_in(row, group) for group in (known.input_tokens, known.output_tokens, known.requests)]
    except (ValueError, OverflowError, OSError) as error:
        raise Misconfigured(
            f"line {number} of the bill cannot be read in {column}: {error}",
            mend="days are YYYY-MM-DD, an ISO 8601 time or Unix seconds; amounts are plain numbers",
        ) from error
    currency = row.get(known.currency, "").strip() if known.currency else ""
    if cost is not None and currency and currency.upper() != "USD":
        raise Misconfigured(
            f"line {number} of the bill is in {currency.upper()}",
            mend="bring it into US dollars: what is metered is in them",
        )
    return BillLine(
        day,
        row.get(known.provider, "").strip().lower() if known.provider else provider,
        columns.model_in(row.get(known.model, "")) if known.model else "",
        cost,
        *counts,
    )


def _sum(one: BillLine, other: BillLine) -> BillLine:
    cost = one.cost_usd if other.cost_usd is None else other.cost_usd + (one.cost_usd or Decimal(0))
    return BillLine(
        one.day,
        one.provider,
        one.model,
        cost,
        _plus(one.input_tokens, other.input_tokens),
        _plus(one.output_tokens, other.output_tokens),
        _plus(one.requests, other.requests),
    )


def _plus(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other
