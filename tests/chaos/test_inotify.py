"""Waiting for an entry in a directory."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from chaos.inotify import await_entry
from taximeter_schemas.errors import Retryable


def test_it_tells_the_first_entry_that_begins_so(tmp_path: Path) -> None:
    """Others are passed over, and what was there before does not count."""
    (tmp_path / "tmp_insert_before").mkdir()
    made, stop = iter(range(10_000)), threading.Event()

    def make() -> None:
        for number in made:
            (tmp_path / f"other_{number}").mkdir()
            (tmp_path / f"tmp_insert_{number}").mkdir()
            if stop.wait(0.005):
                return

    maker = threading.Thread(target=make)
    maker.start()
    try:
        name = await_entry(tmp_path, "tmp_insert_")
    finally:
        stop.set()
        maker.join()
    assert name.startswith("tmp_insert_")
    assert name != "tmp_insert_before"


def test_an_entry_that_never_comes_is_told(tmp_path: Path) -> None:
    """The wait has an end."""
    with pytest.raises(Retryable, match="nothing called tmp_"):
        await_entry(tmp_path, "tmp_", seconds=0.01)
