"""Avro's integers: zigzag, seven bits a byte, least significant first, ten bytes at most. As strict as the engine."""

from __future__ import annotations

_INT_RANGE = range(-(2**31), 2**31)
_MOST_BYTES = 10
_MASK = 2**64 - 1


class Malformed(ValueError):
    """The bytes are no integer, or none that may stand here."""


def number(data: bytes, at: int) -> tuple[int, int]:
    """The long at a place, and the place after it. Raises IndexError at the end of the data, Malformed."""
    shift = value = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            value &= _MASK
            return (value >> 1) ^ -(value & 1), at
        shift += 7
        if shift >= 7 * _MOST_BYTES:
            raise Malformed


def length(data: bytes, at: int) -> tuple[int, int]:
    """The length of a text or of bytes: an int that is not negative."""
    value, at = number(data, at)
    if not 0 <= value < _INT_RANGE.stop:
        raise Malformed
    return value, at


def branch(data: bytes, at: int) -> tuple[int, int]:
    """The index of a union's branch, of which the engine looks at 32 bits."""
    value, at = number(data, at)
    return value & 0xFFFF_FFFF, at


def skip_long(data: bytes, at: int) -> int:
    """The place after a long."""
    first = at
    while data[at] > 0x7F:
        at += 1
    if at - first >= _MOST_BYTES:
        raise Malformed
    return at + 1


def skip_int(data: bytes, at: int) -> int:
    """The place after an int of 32 bits."""
    value, at = number(data, at)
    if value not in _INT_RANGE:
        raise Malformed
    return at


def encoded(value: int) -> bytes:
    """A non-negative long as Avro writes it: zigzag, seven bits a byte, least significant first."""
    value <<= 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
