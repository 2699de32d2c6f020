"""Avro's plain types as bytes, quickly: tables for what is small, and for what comes again.

For one thread. Memory is bounded: every table is emptied when it is full.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Context, Decimal
from typing import Any

_TABLE = 4_096
_SHORT = 128  # texts longer than this seldom come again
_DIGITS = Context(prec=64)  # more than any amount has: the default's 28 would round


# Numbers from 0, which zigzag doubles, thirteen bits at once: as a whole number of one or two bytes, and as the first
# two bytes of a longer one. What follows those is not doubled: fourteen bits are the two bytes in its middle.
_BITS = 13
WHOLE = tuple(bytes((n << 1,)) if n < 0x40 else bytes((n << 1 & 0x7F | 0x80, n >> 6)) for n in range(1 << _BITS))
START = tuple(bytes((n << 1 & 0x7F | 0x80, n >> 6 | 0x80)) for n in range(1 << _BITS))

MIDDLE = tuple(bytes((n & 0x7F | 0x80, n >> 7 | 0x80)) for n in range(1 << _BITS + 1))


def long_bytes(number: int) -> bytes:
    """An Avro int or long: zigzag, then seven bits a byte."""
    if 0 <= number < 0x2000:
        return WHOLE[number]
    rest = number << 1 if number >= 0 else (-number << 1) - 1
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def text_bytes(text: str) -> bytes:
    """An Avro string."""
    raw = text.encode()
    size = len(raw)
    return (WHOLE[size] if size < 0x2000 else long_bytes(size)) + raw


def decimals_of(scale: int) -> Callable[[Decimal], bytes]:
    """Encodes Avro bytes of logical type decimal: the unscaled number, big-endian, in as few bytes as hold its sign."""
    shift = _DIGITS.scaleb

    def encode_decimal(amount: Decimal) -> bytes:
        unscaled = int(shift(amount, scale))
        size = (unscaled.bit_length() + 8) >> 3
        return WHOLE[size] + unscaled.to_bytes(size, "big", signed=True)

    return encode_decimal


class Texts(dict[str, bytes]):
    def __missing__(self, text: str) -> bytes:
        encoded = text_bytes(text)
        if len(text) <= _SHORT:
            if len(self) >= _TABLE:
                self.clear()
            self[text] = encoded
        return encoded


class Symbols(dict[str, bytes]):
    """An enum's symbols. Filled with the very objects that are asked for: they are found again by identity, where the
    member of an enum class and a plain text would have to be compared.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        self._known = {symbol: long_bytes(place) for place, symbol in enumerate(symbols)}

    def __missing__(self, symbol: str) -> bytes:
        encoded = self[symbol] = self._known[symbol]
        return encoded


def map_of(encode: Callable[[Any], bytes]) -> Callable[[Mapping[str, Any]], bytes]:
    """Encodes maps whose values `encode` writes."""

    def encode_map(pairs: Mapping[str, Any]) -> bytes:
        if not pairs:
            return b"\x00"
        parts = [WHOLE[len(pairs)] if len(pairs) < 0x2000 else long_bytes(len(pairs))]
        for key, value in pairs.items():
            parts += (text_bytes(key), encode(value))
        parts.append(b"\x00")
        return b"".join(parts)

    return encode_map
