"""The examples of docs/bridges.md run as they stand, and no bridge loads what it does not need."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from taximeter.testing import memory_meter

_PAGE = Path(__file__).parents[2] / "docs" / "bridges.md"
_BRIDGES = {
    "opentelemetry": "opentelemetry.sdk",
    "langchain": "langchain_core",
    "openai_agents": "agents",
    "pydantic_ai": "pydantic_ai",
    "temporal": "temporalio",
}


def test_the_examples_run() -> None:
    """In the order of the page, with a meter in memory."""
    for library in _BRIDGES.values():
        pytest.importorskip(library, reason=f"{library} is not installed")
    from agents import set_trace_processors

    blocks = re.findall(r"^```python\n(.*?)^```$", _PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 7
    set_trace_processors([])
    try:
        with memory_meter() as recorded:
            names: dict[str, Any] = {"meter": recorded.meter}
            for block in blocks:
                exec(compile(block, str(_PAGE), "exec"), names)
            assert recorded.meter.counters().hook_errors == 0
    finally:
        set_trace_processors([])
    assert [event.user_id for event in recorded.events] == ["u1", "u1"]


@pytest.mark.parametrize("bridge", ["charge", "usage_handler", "counters", "span_words", "claim"])
def test_what_is_shared_loads_no_framework(bridge: str) -> None:
    """Not even the framework of another bridge."""
    script = f"import sys, taximeter.bridges.{bridge}; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & set(_BRIDGES.values())


@pytest.mark.parametrize(("bridge", "library"), _BRIDGES.items())
def test_a_bridge_loads_its_own_framework_alone(bridge: str, library: str) -> None:
    """Except for what that framework loads itself."""
    pytest.importorskip(library, reason=f"{library} is not installed")

    def loaded(module: str) -> set[str]:
        script = f"import sys, {module}; print(' '.join(sys.modules))"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        return set(done.stdout.split()) & set(_BRIDGES.values())

    assert loaded(f"taximeter.bridges.{bridge}") == loaded(library)
