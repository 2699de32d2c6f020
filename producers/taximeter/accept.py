"""What hooks accept: the host's values become the vocabulary's, field by field.

A field that makes no sense is left out and noted; the rest of the record is kept, because one wrong field must not cost
a billable record. None means not given. Rules are pure; they raise for a value that cannot be taken, and `Cut` where
only a part of it can.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from itertools import islice
from operator import index
from typing import Any

from taximeter.faults import Faults
from taximeter.redact import LOOKED_AT
from taximeter_schemas.money import REPORTED_COST_SCALE, UNIT_SCALE
from taximeter_schemas.service_tier import service_tier_of

Rule = Callable[[Any], Any]

INT64 = 2**63 - 1
INT32 = 2**31 - 1
TEXT = 1_024
_KEY = 256
_LONG_TEXT = LOOKED_AT + 1
_PAIRS = 64
_UNITS = 32
_UNIT_NAME = 64
DEBUG = ("error_message", "provider_metadata", "description")
"""Fields that only help to find a cause; they are the first to go under pressure."""

EXACT = Context(prec=38, rounding=ROUND_HALF_EVEN)
"""For all sums and roundings of amounts: the host's own context may have any precision."""

_LARGEST_AMOUNT = Decimal(10) ** 15


class Cut(Exception):
    """Only a part of a value was taken."""

    def __init__(self, kept: object) -> None:
        super().__init__("cut")
        self.kept = kept


def take(words: Mapping[str, object], rules: Mapping[str, Rule], faults: Faults, place: str) -> dict[str, Any]:
    """The given words that follow their rules. Never raises; what is left out or cut is noted."""
    taken: dict[str, Any] = {}
    for word, value in words.items():
        if value is None:
            continue
        rule = rules.get(word)
        if rule is None:
            faults.note(place, "an unknown word was given")
            continue
        try:
            taken[word] = rule(value)
        except Cut as cut:
            taken[word] = cut.kept
            faults.note(place, f"{word} was cut to its limit")
        except Exception as error:  # noqa: BLE001 - a value may raise whatever it likes when it is read
            faults.note(place, f"{word} cannot be read ({type(error).__name__})")
    return taken


def clean(value: object) -> str:
    """Any value as text that has UTF-8."""
    said = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    # A lone surrogate has no UTF-8, and would make the event impossible to encode.
    return said if said.isascii() else said.encode("utf-8", "replace").decode("utf-8")


def _bounded(limit: int) -> Rule:
    def rule(value: object) -> str:
        said = clean(value)
        if len(said) > limit:
            raise Cut(said[:limit])
        return said

    return rule


text = _bounded(TEXT)
"""Any value as text of at most 1,024 characters."""

long_text = _bounded(_LONG_TEXT)
"""Text that is cut again after it was redacted."""


def tier(value: object) -> str:
    """A service tier in our words."""
    if not isinstance(value, str | bytes):
        raise TypeError("not a text")
    return service_tier_of(clean(value))


def count(value: object) -> int:
    """A whole number from 0. Floats only where they are whole; bools, texts and negatives are refused."""
    if isinstance(value, bool):
        raise TypeError("a bool is not a count")
    number = int(value) if isinstance(value, float) and value.is_integer() else index(value)  # type: ignore[arg-type]  # index raises TypeError for what is no integer
    if number < 0:
        raise ValueError("a count is never negative")
    return min(number, INT64)


def small_count(value: object) -> int:
    """A whole number from 0 to 2^31 - 1."""
    number = count(value)
    if number > INT32:
        raise Cut(INT32)
    return number


def _amount(scale: int) -> Rule:
    quantum = Decimal(1).scaleb(-scale)

    def rule(value: object) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, Decimal | int | float | str):
            raise TypeError("not an amount")
        # The shortest text of a float is what the provider's JSON said.
        number = value if isinstance(value, Decimal) else Decimal(str(value))
        if not number.is_finite() or not 0 <= number <= _LARGEST_AMOUNT:
            raise ValueError("an amount is finite and not negative")
        return number.quantize(quantum, context=EXACT)

    return rule


money = _amount(REPORTED_COST_SCALE)
"""US dollars, rounded to 12 places."""

amount = _amount(UNIT_SCALE)
"""An amount of a plugin's own unit, rounded to 9 places."""


def _pairs(value_rule: Rule, most: int = _PAIRS, longest: int = _KEY) -> Rule:
    def rule(value: object) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise TypeError("not a mapping")
        taken: dict[str, Any] = {}
        whole = True
        for key, inner in value.items():
            if len(taken) >= most:
                whole = False
                break
            try:
                taken[clean(key)[:longest]] = value_rule(inner)
            except Cut as cut:
                taken[clean(key)[:longest]] = cut.kept
                whole = False
            except (TypeError, ValueError, ArithmeticError):
                whole = False
        if not whole:
            raise Cut(taken)
        return taken

    return rule


texts = _pairs(text)
"""A mapping to texts: at most 64 pairs, keys of at most 256 characters."""

amounts = _pairs(amount)
"""A mapping of unit to amount."""

units = _pairs(count, _UNITS, _UNIT_NAME)
"""A mapping of unit to count: at most 32 pairs, names of at most 64 characters."""


def as_it_is(pairs: object) -> object:
    """What `units` would take of a mapping that may change before it is read. Never raises; what is none stays."""
    try:
        return dict(islice(pairs.items(), _UNITS + 1)) if isinstance(pairs, Mapping) else pairs
    except Exception:  # noqa: BLE001 - a foreign mapping may raise whatever it likes
        return _UNREADABLE


_UNREADABLE = object()
