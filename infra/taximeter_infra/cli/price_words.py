"""How prices are read and shown on the command line: `--per 1M`, `--window 00:30-16:30`, `$2.50 per 1M tokens`."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from taximeter_consumers.pricing.rate import Rate

DAY = 86_400
_COUNT = re.compile(r"^(\d+(?:\.\d+)?)\s*([a-zA-Z]*)$")
_NUMBERS = {"": 1, "k": 1_000, "K": 1_000, "M": 10**6, "G": 10**9, "kB": 1_000, "KB": 1_000, "MB": 10**6, "GB": 10**9}
_MICROSECONDS = {"us": 1, "ms": 1_000, "s": 10**6, "min": 60 * 10**6, "h": 3_600 * 10**6}
_CLOCK = re.compile(r"^(\d{1,2}):(\d{2})$")


def parse_usd(text: str) -> Decimal:
    """An amount in US dollars. Raises typer.BadParameter."""
    try:
        amount = Decimal(text.strip().removeprefix("$").replace(",", "").replace("_", ""))
    except InvalidOperation as error:
        raise typer.BadParameter(f"{text!r} is no amount like 2.50", param_hint="--usd") from error
    if not amount.is_finite() or amount < 0:
        raise typer.BadParameter(f"{text!r} is no price", param_hint="--usd")
    return amount


def parse_per(text: str, unit: str) -> Decimal:
    """For how many of `unit` a price is: `1M`, `1000`, `1GB`; of a unit of time `3600s`, `1h`, `1min`."""
    found = _COUNT.match(text.strip())
    if found:
        number, suffix = Decimal(found.group(1)), found.group(2)
        if suffix in _NUMBERS:
            return number * _NUMBERS[suffix]
        if suffix in _MICROSECONDS and unit.endswith(("_us", "_ms")):
            return number * _MICROSECONDS[suffix] / (1 if unit.endswith("_us") else 1_000)
    raise typer.BadParameter(f"{text!r} is no number of {unit} like 1M, 1000 or, of time, 3600s", param_hint="--per")


def parse_window(text: str | None) -> tuple[tuple[int, int], ...]:
    """Hours of the UTC day in seconds, `22:00-06:00` as two windows that do not wrap; None is all day."""
    if text is None:
        return ((0, DAY),)
    start, _, end = text.partition("-")
    first, last = _second(start, text), _second(end, text)
    if first == last:
        raise typer.BadParameter(f"{text!r} begins where it ends", param_hint="--window")
    if first < last:
        return ((first, last),)
    return tuple(part for part in ((0, last), (first, DAY)) if part[0] < part[1])


def shown_price(provider: str, unit: str, usd_per_unit: Decimal | None) -> str:
    """`$2.50 per 1M tokens`: at the number that makes it readable; the shortest amount that is this very price."""
    from taximeter_consumers.pricing.units import described

    if usd_per_unit is None:
        return "no price"
    per, noun = described(provider, unit)
    amount = usd_per_unit * per
    # A price is exact to its 18th place, so an amount within half of that place is the same price.
    slack = per * Decimal("0.5e-18")
    shortest = (amount.quantize(Decimal(1).scaleb(-places)) for places in range(2, 19))
    text = f"{next((one for one in shortest if abs(one - amount) <= slack), amount):f}"
    whole, _, places = text.partition(".")
    dollars = f"${int(whole):,}.{places.ljust(2, '0')}"
    return f"{dollars} per {_number(per)}{noun}" if per > 1 and not _is_one(noun) else f"{dollars} per {noun}"


def shown_window(start: int, end: int) -> str:
    """`00:30-16:30`, or nothing for all day."""
    if (start, end) == (0, DAY):
        return ""
    return "-".join(f"{second // 3600:02}:{second // 60 % 60:02}" for second in (start, end))


def rate_object(rate: Rate) -> Mapping[str, object]:
    """A row of the book as JSON: prices as exact strings."""
    from taximeter_schemas.money import plain

    return {
        "account_id": rate.account_id,
        "provider": rate.provider,
        "model": rate.model,
        "unit": rate.unit,
        "service_tier": rate.service_tier,
        "above_input_tokens": rate.above_input_tokens,
        "window": shown_window(rate.window_start, rate.window_end),
        "valid_from": rate.valid_from.isoformat(),
        "known_from": rate.known_from.isoformat(),
        "usd_per_unit": None if rate.usd_per_unit is None else plain(rate.usd_per_unit),
        "price": shown_price(rate.provider, rate.unit, rate.usd_per_unit),
        "source": rate.source,
        "added_by": rate.added_by,
    }


def _second(clock: str, text: str) -> int:
    found = _CLOCK.match(clock.strip())
    hours, minutes = (int(found.group(1)), int(found.group(2))) if found else (99, 0)
    second = hours * 3_600 + minutes * 60
    if minutes > 59 or second > DAY:
        raise typer.BadParameter(f"{text!r} is no window like 00:30-16:30 (UTC)", param_hint="--window")
    return second


def _number(per: int) -> str:
    for size, letter in ((10**6, "M"), (10**3, "K")):
        if per >= size and per % size == 0:
            return f"{per // size}{letter} "
    return f"{per:,} "


def _is_one(noun: str) -> bool:
    """Nouns that name the number themselves: an hour of CPU time, a minute of audio, a GB."""
    return noun.startswith(("minute ", "hour ", "GB "))
