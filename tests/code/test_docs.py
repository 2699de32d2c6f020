"""The example of docs/code-nodes.md runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from taximeter.testing import memory_meter

_PAGE = Path(__file__).parents[2] / "docs" / "code-nodes.md"


def test_the_example_runs_and_meters_what_it_says() -> None:
    """With a meter in memory."""
    blocks = re.findall(r"^```python\n(.*?)^```$", _PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    with memory_meter() as recorded:
        names: dict[str, Any] = {"meter": recorded.meter}
        for block in blocks:
            exec(compile(block, str(_PAGE), "exec"), names)
    event = recorded.only()
    assert event.code is not None
    assert (event.node_type, event.outcome) == ("code", "success")
