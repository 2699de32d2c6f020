"""Failpoints: a process dies where the environment says, at the time it says, and nowhere else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from taximeter_consumers import failpoints
from taximeter_consumers.failpoints import POINTS, VARIABLE, parse
from taximeter_schemas.errors import Misconfigured

SINK = Path(failpoints.__file__).parent


def _run(armed: str, code: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, VARIABLE: armed, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


def test_it_dies_at_the_nth_visit() -> None:
    """Other names and earlier visits do nothing."""
    code = (
        "from taximeter_consumers.failpoints import reached\n"
        "for at in range(9):\n    reached('sink.after_intent')\n"
        "    print(at, flush=True)\n    reached('sink.after_insert')"
    )
    ended = _run("sink.after_insert@3", code)
    assert (ended.returncode, ended.stdout.split()) == (-signal.SIGKILL, ["0", "1", "2"])
    assert _run("", code).returncode == 0


def test_an_unknown_name_ends_the_command_with_the_mend() -> None:
    """A misspelt failpoint must not make a proof pass."""
    ended = _run(
        "sink.after_lunch", "import sys; sys.argv[1:] = ['sink']\nfrom taximeter_infra.cli.app import main; main()"
    )
    assert ended.returncode == 1
    assert "sink.after_lunch" in ended.stderr
    assert "mend:" in ended.stderr


@pytest.mark.parametrize("text", ["sink.after_lunch", *(f"sink.after_insert@{count}" for count in ("", "0", "x"))])
def test_what_is_no_failpoint_is_refused(text: str) -> None:
    """It is a name of the list, and behind an @ a count above 0."""
    with pytest.raises(Misconfigured):
        parse(text)


def test_every_point_is_somewhere_in_the_code() -> None:
    """No name stands in the list alone."""
    code = "".join(path.read_text(encoding="utf-8") for path in SINK.rglob("*.py") if path.name != "failpoints.py")
    assert [point for point in sorted(POINTS) if f'"{point}"' not in code] == []
