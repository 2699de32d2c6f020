"""The five bytes before every body."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter_schemas import frame
from taximeter_schemas.errors import Poison


@given(st.integers(0, 2**32 - 1), st.binary())
def test_splitting_undoes_framing(schema_id: int, body: bytes) -> None:
    """Id and body come back as they were."""
    assert frame.split(frame.header(schema_id) + body) == (schema_id, body)


def test_the_header_is_confluents() -> None:
    """Byte 0, then the id, big-endian."""
    assert frame.header(258) == b"\x00\x00\x00\x01\x02"


@given(st.binary(max_size=60))
def test_any_bytes_split_or_are_poison(message: bytes) -> None:
    """No input raises anything but Poison."""
    with suppress(Poison):
        assert message.endswith(frame.split(message)[1])


def test_another_first_byte_is_not_framed() -> None:
    """JSON on the topic is told apart by its first byte."""
    with pytest.raises(Poison, match="byte 123"):
        frame.split(b'{"a": 1}')
