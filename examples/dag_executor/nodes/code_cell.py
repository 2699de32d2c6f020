"""The cell that a code node's source runs in: a script of its own, started as `python -I -S code_cell.py`.

It reads one job as a line of JSON on stdin, forks, runs the source in the child under RLIMIT_AS, and writes one report
as JSON on stdout. It ends the child at the deadline, or as soon as stdin closes: that is how a run is cancelled, and
what happens by itself when the executor dies, so that no child outlives it.

The fork is not for show: a process started straight from a large executor inherits the executor's own peak memory in
`ru_maxrss` across exec, so only a child of this small cell has a peak that means anything.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import time
from typing import Any

OUT_OF_MEMORY = 86
MOST_OUTPUT_BYTES = 65536


def run_source(job: dict[str, Any], output: int) -> int:
    """In the child: run the source; its `print` goes to `output`. Returns the exit code."""
    os.dup2(output, 1)
    if job["memory_limit_bytes"]:
        resource.setrlimit(resource.RLIMIT_AS, (job["memory_limit_bytes"],) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    names = {"inputs": job["inputs"], "upstream": job["upstream"], "__name__": "__main__"}
    try:
        exec(compile(job["source"], "<code node>", "exec"), names)
        sys.stdout.flush()
    except MemoryError:
        return OUT_OF_MEMORY
    except BaseException as error:  # noqa: BLE001  # whatever the source raises is its outcome, SystemExit included
        sys.stdout.write(f"{type(error).__name__}: {error}")
        sys.stdout.flush()
        return 1
    return 0


def watch(child: int, output: int, timeout_seconds: float) -> tuple[str, bytes]:
    """Drain the child's output until it ends or must be ended; returns why it ended and the output."""
    deadline = time.monotonic() + timeout_seconds
    pidfd = os.pidfd_open(child)
    poll = select.poll()
    for descriptor in (0, output, pidfd):
        poll.register(descriptor, select.POLLIN | select.POLLHUP)
    collected = b""
    while True:
        remaining = deadline - time.monotonic()
        ready = {descriptor for descriptor, _ in poll.poll(max(0.0, remaining * 1000))}
        if 0 in ready or remaining <= 0:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            return ("cancelled" if 0 in ready else "timeout"), collected
        if output in ready:
            chunk = os.read(output, MOST_OUTPUT_BYTES)
            collected = (collected + chunk)[:MOST_OUTPUT_BYTES]
            if not chunk:
                poll.unregister(output)
        elif pidfd in ready:
            return "exited", collected


def main() -> None:
    with open(0, "rb", buffering=0, closefd=False) as unbuffered:  # so that poll sees what follows
        job = json.loads(unbuffered.readline())
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(0)
        os._exit(run_source(job, writer))
    os.close(writer)
    ended, output = watch(child, reader, job["timeout_seconds"])
    _, status, used = os.wait4(child, 0)
    report = {
        "ended": ended,
        "exit_code": os.waitstatus_to_exitcode(status),
        "output": output.decode(errors="replace"),
        "cpu_us": round((used.ru_utime + used.ru_stime) * 1_000_000),
        "max_rss_bytes": used.ru_maxrss * 1024,
    }
    sys.stdout.write(json.dumps(report))
    sys.stdout.flush()
    os.killpg(0, signal.SIGKILL)  # whatever the source has started dies with its cell


if __name__ == "__main__":
    main()
