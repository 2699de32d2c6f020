"""Code nodes: Python source in a process of its own, with a deadline and a memory ceiling.

The process is a `code_cell.py`, which measures and ends the code. Closing the cell's stdin ends it, so the death of the
executor does too. A cell that does not report in time is killed with its whole process group.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event
from typing import Any

from examples.dag_executor.executor import NodeCall
from examples.dag_executor.nodes.code_cell import OUT_OF_MEMORY
from examples.dag_executor.results import CodeUse, MemoryBreach, NodeCancelled, NodeError, NodeResult, NodeTimeout

CELL = Path(__file__).with_name("code_cell.py")
CANCEL_POLL_MS = 20
REPORT_GRACE_SECONDS = 5.0


class CodeNode:
    """Runs `source` of the node's config; it sees `inputs` and `upstream`, and what it prints is the output.

    Output that is JSON is parsed. Raises NodeTimeout, MemoryBreach or NodeError, each with what was used until then.
    """

    def __call__(self, call: NodeCall) -> NodeResult:
        job = {
            "source": call.node.config["source"],
            "inputs": dict(call.run.inputs),
            "upstream": dict(call.upstream),
            "timeout_seconds": call.node.timeout_seconds,
            "memory_limit_bytes": call.node.memory_limit_bytes,
        }
        report = run_cell(job, call.cancel)
        use = CodeUse(cpu_us=report["cpu_us"], max_rss_bytes=report["max_rss_bytes"])
        partial = NodeResult(code=use)
        if report["ended"] == "timeout":
            raise NodeTimeout(f"code ran longer than {call.node.timeout_seconds} s", result=partial, retryable=True)
        if report["ended"] == "cancelled":
            raise NodeCancelled("code was stopped: the run is cancelled", result=partial)
        if report["exit_code"] == OUT_OF_MEMORY:
            raise MemoryBreach(f"code needs more than {call.node.memory_limit_bytes} bytes", result=partial)
        if report["exit_code"] != 0:
            raise NodeError(f"code ended with {report['exit_code']}: {report['output'][-200:]}", result=partial)
        return NodeResult(output=parsed(report["output"]), code=use)


def parsed(output: str) -> Any:
    """The output as JSON if it is that, else as text without the last line break."""
    try:
        return json.loads(output)
    except ValueError:
        return output.rstrip("\n")


def run_cell(job: dict[str, Any], cancel: Event) -> dict[str, Any]:
    """Start a cell, hand it the job, return its report; nothing is left running, whatever happens."""
    cell = subprocess.Popen(
        [sys.executable, "-I", "-S", str(CELL)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
    )
    assert cell.stdin is not None
    assert cell.stdout is not None
    try:
        cell.stdin.write(json.dumps(job).encode() + b"\n")
        cell.stdin.flush()
        give_up = time.monotonic() + job["timeout_seconds"] + REPORT_GRACE_SECONDS
        poll = select.poll()
        poll.register(cell.stdout, select.POLLIN | select.POLLHUP)
        while not poll.poll(CANCEL_POLL_MS) and time.monotonic() < give_up:
            if cancel.is_set() and not cell.stdin.closed:
                cell.stdin.close()
        if not poll.poll(0):
            raise NodeTimeout("the code's process did not end in time and was killed", retryable=True)
        report = cell.stdout.read()
        if not report:
            raise NodeError("the code's process ended without a report", retryable=True)
    except BrokenPipeError as error:
        raise NodeError("the code's process ended before it took its job", retryable=True) from error
    else:
        answer: dict[str, Any] = json.loads(report)
        return answer
    finally:
        end(cell)


def end(cell: subprocess.Popen[bytes]) -> None:
    """Kill the cell's process group if it still runs, reap it, close the pipes."""
    if cell.poll() is None:
        try:
            cell.wait(timeout=0.5)  # after its report a cell needs a moment to exit by itself
        except subprocess.TimeoutExpired:
            os.killpg(cell.pid, signal.SIGKILL)
            cell.wait()
    for pipe in (cell.stdin, cell.stdout):
        if pipe is not None and not pipe.closed:
            try:
                pipe.close()
            except BrokenPipeError:
                continue
