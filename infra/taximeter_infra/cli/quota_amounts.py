"""Amounts as they are typed: `total_tokens=5,000 cost_usd=0.25`. What is none is told before anybody is asked."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches

import typer

METER_AND_AMOUNT = "METER=AMOUNT"


def amounts_of(words: Iterable[str]) -> dict[str, Decimal]:
    """Each meter once, each with an amount."""
    amounts: dict[str, Decimal] = {}
    for word in words:
        meter, amount = meter_and_amount(word)
        if amount is None:
            raise _wrong(f"{word!r} has no amount: leave the meter out")
        if meter in amounts:
            raise _wrong(f"{meter} is named twice")
        amounts[meter] = amount
    return amounts


def meter_and_amount(word: str) -> tuple[str, Decimal | None]:
    """`total_tokens=5000` as both; None for `none`."""
    from taximeter_schemas.quota.meters import METERS, known_amount, known_meter

    meter, separator, text = word.partition("=")
    if not separator or not text:
        raise _wrong(f"{word!r} is not like total_tokens=5000")
    try:
        known_meter(meter)
    except ValueError as error:
        close = get_close_matches(meter, METERS, 1)
        raise _wrong(f"did you mean {close[0]}? {error}" if close else str(error)) from None
    if text == "none":
        return meter, None
    try:
        return meter, known_amount(meter, number(text.removeprefix("$"), METER_AND_AMOUNT))
    except ValueError as error:
        raise _wrong(str(error)) from None


def number(text: str, option: str) -> Decimal:
    """A number as it was typed; thousands may be set apart by commas or underscores."""
    try:
        return Decimal(text.strip().replace("_", "").replace(",", ""))
    except InvalidOperation:
        raise typer.BadParameter(f"{text!r} is no number", param_hint=option) from None


def _wrong(said: str) -> typer.BadParameter:
    return typer.BadParameter(said, param_hint=METER_AND_AMOUNT)
