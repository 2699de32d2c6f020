"""A tiny parent between the supervisor and a server, so that no server outlives its supervisor.

Run as `python -m taximeter_infra.stack.warden GRACE_SECONDS -- COMMAND...` with a pipe as standard input that only the
supervisor writes to (it never does). What holds:

* The supervisor dies, however hard (kill -9 too): the pipe ends, the server is asked to stop, and killed after
  the grace.
* The warden itself is killed: the kernel kills the server (PR_SET_PDEATHSIG). That signal is tied to the parent's
  thread, so it is asked for here, where the only thread is the process, and not in the supervisor, which has several.
* The supervisor asks for a stop (SIGTERM or SIGINT to the warden): the same as the first.

The exit code is the server's, or 128 plus the signal that ended it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable

PR_SET_PDEATHSIG = 1
BEAT_SECONDS = 0.5


def main(argv: list[str]) -> int:
    """Run the command until it ends, a stop is asked for, or the supervisor is gone."""
    if len(argv) < 4 or argv[2] != "--":
        sys.stderr.write("usage: python -m taximeter_infra.stack.warden GRACE_SECONDS -- COMMAND...\n")
        return 2
    grace, supervisor = float(argv[1]), os.getppid()
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    child = subprocess.Popen(  # noqa: S603 - the supervisor's own command
        argv[3:], stdin=subprocess.DEVNULL, process_group=0, preexec_fn=_die_with(os.getpid())
    )
    while child.poll() is None:
        if _must_stop(wake_read, supervisor):
            _stop(child, grace)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _must_stop(wake_read: int, supervisor: int) -> bool:
    """Wait one beat; whether a stop was asked for or the supervisor has gone."""
    readable, _, _ = select.select([0, wake_read], [], [], BEAT_SECONDS)
    if 0 in readable and not os.read(0, 64):
        return True
    asked = set(os.read(wake_read, 64)) if wake_read in readable else set()
    return bool(asked & {signal.SIGTERM, signal.SIGINT}) or os.getppid() != supervisor


def _stop(child: subprocess.Popen[bytes], grace: float) -> None:
    deadline = time.monotonic() + grace
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(max(0.0, deadline - time.monotonic()) if number is signal.SIGTERM else None)
            return


def _die_with(warden: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None, use_errno=True)

    def ask_kernel() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != warden:
            os._exit(1)

    return ask_kernel


if __name__ == "__main__":
    sys.exit(main(sys.argv))
