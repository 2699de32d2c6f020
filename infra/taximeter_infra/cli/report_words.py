"""The words of reports: a value as people read it, and what a sum of costs does not say by itself.

A cost that lacks something is never shown as if it were whole: `unknown` where nothing of it is known, `≥` where a part
is not in it, `~` where a part of it is a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal

from taximeter_consumers.queries import Row, share
from taximeter_schemas.money import shown

UNMATCHED = "`taximeter prices unmatched` lists what has no price, with the command that sets one"
RESOURCES = "resources (CPU, HTTP, executions)"
_LEAST = Decimal("0.000001")
_TOKENS = {"input_tokens", "output_tokens", "cache_read_tokens"}
_PARTS = {
    "model_cost_usd": "models", "plugin_cost_usd": "plugins", "resource_cost_usd": RESOURCES,
    "adjusted_cost_usd": "re-rating",
}  # fmt: skip
_SPENT = {
    "useful_cost_usd": "useful", "retried_cost_usd": "retried", "failed_cost_usd": "failed",
    "cancelled_cost_usd": "cancelled",
}  # fmt: skip

# Whether a row has attempts whose cost, where it is not known, would be in the column.
_SPENT_BY: dict[str, Callable[[Row], bool]] = {
    "useful_cost_usd": lambda row: row["successes"] > 0,
    "retried_cost_usd": lambda row: row["executions"] > 1,
    "failed_cost_usd": lambda row: row["errors"] + row["timeouts"] > 0,
    "cancelled_cost_usd": lambda row: row["cancellations"] > 0,
    "wasted_cost_usd": lambda row: _failed(row) > 0,
}


def dollars(amount: Decimal) -> str:
    """An amount for people; what would be rounded to nothing says that it is not nothing."""
    if 0 < abs(amount) < _LEAST:
        return f"{'-' if amount < 0 else ''}<{shown(_LEAST)}"
    return f"-{shown(-amount)}" if amount < 0 else shown(amount)


def cost(row: Row) -> str:
    """What is known of a row's cost."""
    amount: Decimal = row["cost_usd"]
    lacking, uses = _lacking(row), row["ai_calls"] + row["plugin_uses"]
    if not lacking and not uses and not amount:
        return "-"
    if lacking == uses and not amount:
        return "unknown"
    return f"{'≥ ' if lacking else ''}{'~' if row['estimated_cost_usd'] else ''}{dollars(amount)}"


def cell(column: str, row: Row) -> str:
    """The value of a column as a table shows it."""
    if column == "failed":
        return f"{_failed(row):,}"
    if column == "cost_usd":
        return cost(row)
    if column == "wasted_share":
        return percent(row["wasted_cost_usd"], row["cost_usd"]) or "-"
    value = row[column]
    if column in _SPENT_BY and _lacking(row) and _SPENT_BY[column](row):
        return f"≥ {dollars(value)}" if value else "unknown"
    if isinstance(value, Decimal):
        return dollars(value) if value else "-"
    if column in _TOKENS and value == 0 and 0 < row["ai_calls"] == row["unmeasured_calls"]:
        return "unknown"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if column in ("duration_us", "cpu_us"):
        return f"{value / 1_000_000:,.2f} s"
    return f"{value:,}" if isinstance(value, int) else str(value)


def percent(part: Decimal | int, whole: Decimal | int) -> str:
    """A share as `12.5 %`; empty where there is nothing to have a share of."""
    found = share(part, whole)
    return "" if found is None else f"{found * 100:.1f} %"


def footnotes(rows: Sequence[Row]) -> list[str]:
    """What the costs of `rows` do not say: what has no price or no measure, what is a guess, re-rated or wasted."""
    whole = _sum(rows, "cost_usd")
    lines = [*_not_in_it(rows), *_a_guess(rows, whole)]
    adjusted = _sum(rows, "adjusted_cost_usd")
    if adjusted:
        lines.append(
            f"re-rating {'added' if adjusted > 0 else 'took'} {dollars(abs(adjusted))}"
            f" {'to' if adjusted > 0 else 'off'} the sum"
        )
    wasted = _sum(rows, "wasted_cost_usd") if rows and "wasted_cost_usd" in rows[0] else Decimal(0)
    if wasted:
        lines.append(
            f"{dollars(wasted)}{_of(wasted, whole)} was wasted: attempts that were tried again, failed or cancelled"
        )
    return lines


def parts(row: Row) -> list[str]:
    """What a cost consists of and how it was spent, a line each; none where a line would say the cost again."""
    made = {name: row[column] for column, name in _PARTS.items() if row[column]}
    spent = {name: row[column] for column, name in _SPENT.items() if row[column]}
    lines = []
    if len(made) > 1:
        lines.append("for " + ", ".join(f"{name} {dollars(amount)}" for name, amount in made.items()))
    if row["wasted_cost_usd"]:
        known = "spent, of what is known: " if _lacking(row) else "spent: "
        lines.append(known + ", ".join(f"{name} {dollars(amount)}" for name, amount in spent.items()))
    return lines


def _not_in_it(rows: Sequence[Row]) -> list[str]:
    told = (
        ("calls", "ai_calls", "unpriced_calls", "has no price", "have no price"),
        ("calls", "ai_calls", "unmeasured_calls", "has no known use", "have no known use"),
        ("uses of plugins", "plugin_uses", "unpriced_plugins", "has no price", "have no price"),
    )
    lines = []
    for what, whole, column, one, many in told:
        count = sum(row[column] for row in rows)
        if count == 1:
            lines.append(f"1 of {sum(row[whole] for row in rows):,} {what} {one} and is not in the sum")
        elif count:
            lines.append(f"{count:,} of {sum(row[whole] for row in rows):,} {what} {many} and are not in the sum")
    if any(row["unpriced_calls"] or row["unpriced_plugins"] for row in rows):
        lines.append(UNMATCHED)
    return lines


def _a_guess(rows: Sequence[Row], whole: Decimal) -> list[str]:
    calls, amount = sum(row["estimated_calls"] for row in rows), _sum(rows, "estimated_cost_usd")
    if not calls and not amount:
        return []
    which = f"{calls:,} of {sum(row['ai_calls'] for row in rows):,} calls {'is' if calls == 1 else 'are'} estimated"
    return [f"{which}: {dollars(amount)}{_of(amount, whole)} of the sum"]


def _of(part: Decimal, whole: Decimal) -> str:
    told = percent(part, whole)
    return f" ({told})" if told else ""


def _lacking(row: Row) -> int:
    lacking: int = row["unpriced_calls"] + row["unmeasured_calls"] + row["unpriced_plugins"]
    return lacking


def _failed(row: Row) -> int:
    failed: int = row["errors"] + row["timeouts"] + row["cancellations"]
    return failed


def _sum(rows: Sequence[Row], column: str) -> Decimal:
    return sum((row[column] for row in rows), Decimal(0))
