"""Files that are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from taximeter.client.exporting import whole_file


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    """Until then what was there is."""
    target = tmp_path / "usage.csv"
    target.write_bytes(b"old")
    with whole_file(target) as file:
        file.write(b"new")
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    """And nothing beside it."""
    target = tmp_path / "usage.csv"

    def broken() -> None:
        with whole_file(target) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert list(tmp_path.iterdir()) == []
