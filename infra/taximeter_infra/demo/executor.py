"""The example executor as a process of its own, and what it says while it runs."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import taximeter_infra
from taximeter_schemas.errors import Misconfigured, Retryable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class Workload:
    """What the executor is to run; the same seed and prefix give the same runs."""

    runs: int
    seed: int
    prefix: str


def examples_root() -> Path:
    """The checkout that has `examples/`. Raises Misconfigured where there is none, or where its SDKs are missing."""
    here = Path(taximeter_infra.__file__).resolve().parents[2]
    for root in (Path.cwd(), here):
        if (root / "examples" / "dag_executor" / "__main__.py").is_file():
            break
    else:
        raise Misconfigured(
            "the demo's executor is not installed with the package",
            mend="run `taximeter demo` in a checkout of the source, where examples/ is",
        )
    missing = [name for name in ("openai", "anthropic") if importlib.util.find_spec(name) is None]
    if missing:
        raise Misconfigured(
            f"the demo's AI nodes use the SDKs of the providers; missing: {', '.join(missing)}",
            mend="pip install 'taximeter[demo]'",
        )
    return root


def run_executor(
    workload: Workload, servers: Mapping[str, str], log: Path, finished: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Runs the instrumented executor to its end and returns its summary; `finished` hears of every run.

    The executor ends when this process does: its standard input closes, and it is a child with a pipe on its output.
    """
    command = [
        *(sys.executable, "-m", "examples.dag_executor", "--metered"),
        *("--runs", str(workload.runs), "--seed", str(workload.seed), "--run-prefix", workload.prefix),
    ]
    warden = (sys.executable, "-m", "taximeter_infra.stack.warden", "5", "--")
    summary: dict[str, Any] = {}
    with (
        log.open("ab") as errors,
        subprocess.Popen(  # noqa: S603 - our own command
            [*warden, *command],
            cwd=examples_root(),
            env={**os.environ, **servers},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                said = json.loads(line)
                if said["event"] == "run_finished":
                    finished(said)
                elif said["event"] == "summary":
                    summary = said
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0 or not summary:
        raise Retryable(f"the example executor ended with code {process.returncode}; its log is {log}")
    return summary
