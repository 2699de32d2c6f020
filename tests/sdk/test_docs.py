"""The examples of docs/sdk.md run as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import taximeter
from taximeter.testing import RecordedMeter

_PAGE = Path(__file__).parents[2] / "docs" / "sdk.md"


def test_the_examples_run_and_meter_what_they_say(recorded: RecordedMeter, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of the page, one after the other, with a meter in memory for the environment's."""
    monkeypatch.setattr(taximeter.Meter, "from_environment", lambda: recorded.meter)
    blocks = re.findall(r"^```python\n(.*?)^```$", _PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 6
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(_PAGE), "exec"), names)
    assert set(recorded.by_node()) == {"summarise", "report", "fetch", "", "both", "pool"}
    counters = recorded.meter.counters()
    assert counters.hook_errors == 0
    assert counters.accepted == counters.acknowledged
