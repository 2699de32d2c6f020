"""Which columns of a provider's export say what: data, and how one cell is read. Pure.

Known are a plain file of our own, OpenAI's exports of costs (`amount_value`, `line_item`) and of usage
(`num_model_requests`), and those of Anthropic's console (`usage_date_utc`). Headings are compared in lower case.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Final

Row = Mapping[str, str]
"""One line of a file: cells by heading, the heading in lower case."""

DAY: Final = ("date", "day", "usage_date_utc", "start_time_iso", "start_time", "usage_date")
MODEL: Final = ("model", "model_version", "line_item", "snapshot_id")
PROVIDER: Final = ("provider",)
COST: Final = ("cost_usd", "amount_value", "amount_usd", "cost")
CURRENCY: Final = ("amount_currency", "currency")

# The first group of which a file has a column counts; its columns add up.
INPUT_TOKENS: Final = (
    ("input_tokens",),
    (
        "usage_input_tokens_no_cache",
        "usage_input_tokens_cache_write_5m",
        "usage_input_tokens_cache_write_1h",
        "usage_input_tokens_cache_read",
    ),
    ("n_context_tokens_total",),
)
OUTPUT_TOKENS: Final = (("output_tokens",), ("usage_output_tokens",), ("n_generated_tokens_total",))
REQUESTS: Final = (("requests",), ("num_model_requests",), ("n_requests",))

# Headings that only one provider's exports have.
_TELLING: Final = {
    "amount_value": "openai",
    "num_model_requests": "openai",
    "n_context_tokens_total": "openai",
    "usage_input_tokens_no_cache": "anthropic",
    "list_price_usd": "anthropic",
    "token_type": "anthropic",
}


def provider_of(headings: frozenset[str]) -> str:
    """Whose export has such headings; empty where they do not tell."""
    return next((provider for heading, provider in _TELLING.items() if heading in headings), "")


def first_of(wanted: tuple[str, ...], headings: frozenset[str]) -> str | None:
    """The first of the wanted headings that a file has."""
    return next((heading for heading in wanted if heading in headings), None)


def group_of(wanted: tuple[tuple[str, ...], ...], headings: frozenset[str]) -> tuple[str, ...]:
    """The columns of the first group that a file has any column of; none: empty."""
    found = (tuple(heading for heading in group if heading in headings) for group in wanted)
    return next((group for group in found if group), ())


def day_in(cell: str) -> date:
    """The UTC day of a date, of an ISO 8601 time (UTC where it has no zone) or of Unix seconds. Raises ValueError."""
    text = cell.strip()
    if text.isdecimal() and len(text) > 8:
        return datetime.fromtimestamp(int(text), UTC).date()
    moment = datetime.fromisoformat(text)
    return moment.date() if moment.tzinfo is None else moment.astimezone(UTC).date()


def amount_in(cell: str) -> Decimal | None:
    """The number in a cell, None in an empty one; a dollar sign and commas between thousands are allowed.

    Raises ValueError."""
    text = cell.strip().removeprefix("$").replace(",", "")
    if not text:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation as error:
        raise ValueError("not a number") from error
    if not amount.is_finite():
        raise ValueError("not a number")
    return amount


def count_in(row: Row, group: tuple[str, ...]) -> int | None:
    """The sum of the whole numbers in a group of columns, None where all are empty. Raises ValueError."""
    found = [amount for heading in group if (amount := amount_in(row.get(heading, ""))) is not None]
    if any(amount != amount.to_integral_value() for amount in found):
        raise ValueError("not a whole number")
    return int(sum(found)) if found else None


def model_in(cell: str) -> str:
    """The model of a cell. A line item of OpenAI's reads `gpt-4o-2024-08-06, input`."""
    return cell.partition(",")[0].strip()
