"""The examples of docs/client.md run as they stand, on a real API."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.api.documented import Documented

from taximeter.client.terms import KEY, URL

pytestmark = pytest.mark.integration
PAGE = Path(__file__).parents[2] / "docs" / "client.md"


def test_the_examples_run(world: Documented, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the page, one after the other."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(URL, world.url)
    monkeypatch.setenv(KEY, world.acme)
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        exec(compile(block, str(PAGE), "exec"), names)
    assert names["tree"].run.cost.cost_usd == Decimal("0.0064")
    assert names["answer"].accepted == 1
    assert names["size"] == (tmp_path / "november.csv").stat().st_size
    assert names["hold"].reservation.account_id == "acme"
