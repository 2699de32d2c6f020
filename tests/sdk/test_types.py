"""The public types, as a type checker of a user's sees them: what it infers, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_GOOD = """
from collections.abc import Sequence
from typing import assert_type

from taximeter import AsyncNodeHooks, Meter, NodeHooks, current_node, current_run
from taximeter.code import CodeLimits, CodeResult, run_code
from taximeter.instrument import instrument
from taximeter.node import Node
from taximeter.nothing import NullNode, NullRun
from taximeter.run import Run
from taximeter.testing import memory_meter
from taximeter.usage import Usage, from_openai, read_usage
from taximeter_schemas.event import MeterEvent


def use(meter: Meter, answer: object) -> None:
    with meter.run(account_id="acme", tags={"team": "search"}, trigger="webhook", deliver="at_end") as run:
        assert_type(run, Run)
        assert_type(run.run_id, str)
        with run.node("n", node_type="ai", attempt=2) as node:
            assert_type(node, Node)
            node.ai(provider="openai", model="gpt-4o", **from_openai(answer))
            node.http(requests=1)
            node.plugin("pdf", units={"pages": 3})
    assert_type(current_node(), Node | NullNode)
    assert_type(current_run(), Run | NullRun)
    assert_type(meter.flush(), bool)
    assert_type(meter.counters().accepted, int)
    assert_type(meter.try_usage(ai={"model": "m"}), bool)
    assert_type(read_usage(host="api.openai.com", body=b""), Usage | None)
    assert_type(instrument(meter, include_usage=True), list[str])
    assert_type(run_code("print(1)", limits=CodeLimits(wall_seconds=1)), CodeResult)
    NodeHooks(meter).on_run_started("r", account_id="acme")
    AsyncNodeHooks(meter)


async def charge(meter: Meter) -> None:
    async with meter.run() as run, run.node("n"):
        assert_type(await meter.charge_tokens("f", "u", 1, 2, "m", "openai"), bool)


def check() -> Sequence[MeterEvent]:
    with memory_meter() as recorded:
        assert_type(recorded.only(), MeterEvent)
        assert_type(recorded.by_node(), dict[str, list[MeterEvent]])
        return recorded.events
"""

_BAD = {
    "a counter by place": 'node.ai("openai")',
    "a word that is none": "node.ai(tokens=1)",
    "a count that is text": 'node.ai(input_tokens="many")',
    "a run's word that is none": "meter.run(customer='acme')",
    "a way of delivery that is none": "meter.run(deliver='later')",
    "a node without a name": "run.node()",
    "a breach without a kind": "node.breach()",
}
_FRAME = """
from taximeter import Meter


def use(meter: Meter) -> None:
    with meter.run() as run, run.node("n") as node:
        node.http()
        {line}
"""


def _checked(source: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "user.py").write_text(source, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={folder}/cache", "user.py"],
        capture_output=True, text=True, timeout=280, check=False, cwd=folder,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all, so that the types of the libraries are read once."""
    return tmp_path_factory.mktemp("typed")


def test_what_users_write_is_typed(folder: Path) -> None:
    """Strictly, with the types that the pages promise."""
    done = _checked(_GOOD, folder)
    assert done.returncode == 0, done.stdout


def test_mistakes_are_found_before_they_run(folder: Path) -> None:
    """Each one, though at run time it would only be counted."""
    lines = "\n        ".join(_BAD.values())
    done = _checked(_FRAME.format(line=lines), folder)
    first = _FRAME[: _FRAME.index("{line}")].count("\n") + 1
    unseen = [why for place, why in enumerate(_BAD) if f"user.py:{first + place}: error" not in done.stdout]
    assert unseen == [], done.stdout
