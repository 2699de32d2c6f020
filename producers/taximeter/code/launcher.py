"""The launcher: a script that runs as a process of its own between the host and the untrusted code.

It starts the code with its limits, watches it, ends it with everything that it started, and reports once. Standard
library only: it runs by `python -I -S`, so that it starts fast and its small memory is all that a fork can inherit.

Host gone (also by SIGKILL): the control pipe ends and the kernel sends SIGTERM; either way everything is killed,
and the launcher deletes the run's folder in the host's stead.
Launcher gone (the code may kill it where there is no sandbox): the kernel kills the code's first process; the host sees
that no report came. Processes that left their session are still found, because they are adopted by the launcher.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

sys.path.append(str(Path(__file__).resolve().parent))

import process_tree  # type: ignore[import-not-found]  # this file is a script: its folder is the path

_SET_PDEATHSIG, _SET_DUMPABLE, _SET_CHILD_SUBREAPER, _SET_NO_NEW_PRIVS = 1, 4, 36, 38
_LIBC = ctypes.CDLL(None, use_errno=True)

SAMPLE_SECONDS = 0.025
STOP_SECONDS = 5.0
HOST_SECONDS = 5.0
COULD_NOT_START = 127


def _prctl(option: int, value: int) -> None:
    if _LIBC.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


def _guard_self(host: int) -> None:
    # What the code starts becomes ours when its parent ends, whatever session it went to.
    _prctl(_SET_CHILD_SUBREAPER, 1)
    # The code, if it is the same user, may then not trace us or open our pipes.
    _prctl(_SET_DUMPABLE, 0)
    _prctl(_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != host:
        sys.exit(1)
    # Before a crowd of runnable processes only a real-time one is sure of its turn. It takes a privilege to become one.
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))


def _limit(task: dict[str, Any]) -> None:
    # It counts the user's processes on the whole machine, hence on top of what is there. It does not bind root.
    resource.setrlimit(resource.RLIMIT_NPROC, _at_most(resource.RLIMIT_NPROC, process_tree.of_user() + task["crowd"]))
    for name, value in task["rlimits"].items():
        kind = getattr(resource, name)
        soft, hard = _at_most(kind, value)
        # A second between the soft and the hard limit tells a CPU timeout from other kills.
        resource.setrlimit(kind, (soft, hard + 1 if name == "RLIMIT_CPU" and hard == value else hard))


def _at_most(kind: int, value: int) -> tuple[int, int]:
    hard = resource.getrlimit(kind)[1]
    bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
    return bound, bound


def _become(task: dict[str, Any], launcher: int, failed: int) -> NoReturn:
    """In the child: turn into the code, or say by the pipe why not."""
    try:
        os.setsid()
        _prctl(_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != launcher:
            os._exit(COULD_NOT_START)
        if task["no_new_privileges"]:
            _prctl(_SET_NO_NEW_PRIVS, 1)
        for usual in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(usual, signal.SIG_DFL)
        os.chdir(task["cwd"])
        _limit(task)
        os.execve(task["argv"][0], task["argv"], task["env"])  # noqa: S606 - no shell is the point
    except BaseException as error:  # noqa: BLE001 - a forked child must not return into its parent's code
        os.write(failed, f"{type(error).__name__}: {getattr(error, 'strerror', '')}"[:200].encode())
    os._exit(COULD_NOT_START)


def _start(task: dict[str, Any]) -> tuple[int, str]:
    """The first process's id, and why it could not become the code ("" if it could)."""
    launcher = os.getpid()
    why, failed = os.pipe()  # closed by exec
    pid = os.fork()
    if pid == 0:
        _become(task, launcher, failed)
    os.close(failed)
    with os.fdopen(why, "rb") as reading:
        problem = reading.read().decode("utf-8", "replace")
    # The code's output ends with the code; ours must not keep it open.
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    return pid, problem


class Watch:
    """One run: what it used so far, and why it was ended."""

    def __init__(self, task: dict[str, Any], first: int) -> None:
        self._bounds = task["bounds"]
        self._first = first
        self._began = time.monotonic()
        self._kills_before = process_tree.kills_by_kernel()
        self.first_status: int | None = None
        self.ended_by = ""
        self.cpu_us = 0
        self.max_rss_bytes = 0
        self._seen_cpu_us = 0

    def reap(self) -> bool:
        """Take in those that have ended. False once none is left."""
        while True:
            try:
                pid, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            self.cpu_us += round((used.ru_utime + used.ru_stime) * 1_000_000)
            self.max_rss_bytes = max(self.max_rss_bytes, used.ru_maxrss * 1024)
            if pid == self._first:
                self.first_status = status

    def look(self) -> None:
        """Whether a bound is passed; the first one found is the reason of the end."""
        if time.monotonic() - self._began >= self._bounds["wall_seconds"]:
            self.ended_by = "wall"
            return
        pids = process_tree.descendants(os.getpid(), self._bounds["processes"])
        use = process_tree.use_of(pids)
        self._seen_cpu_us = max(self._seen_cpu_us, self.cpu_us + use.cpu_us)
        if use.processes > self._bounds["processes"]:
            self.ended_by = "processes"
        elif self.cpu_us + use.cpu_us >= self._bounds["cpu_seconds"] * 1_000_000:
            self.ended_by = "cpu"
        elif use.rss_bytes > self._bounds["memory_bytes"]:
            # Pages that forked processes share are counted several times in a sum; look closely before judging.
            self.ended_by = "memory" if process_tree.exact_memory(pids) > self._bounds["memory_bytes"] else ""

    def stop(self) -> bool:
        """Kill everything below this process, until nothing is left or the time is over. True if nothing is left."""
        deadline = time.monotonic() + STOP_SECONDS
        self._look_last()
        while self.reap():
            process_tree.kill_below(os.getpid())
            if time.monotonic() > deadline:
                return False
            time.sleep(0.001)
        return True

    def _look_last(self) -> None:
        # With a sandbox's first process the kernel reaps the others by itself, and nobody is told what they used.
        last = process_tree.descendants(os.getpid(), self._bounds["processes"])
        self._seen_cpu_us = max(self._seen_cpu_us, self.cpu_us + process_tree.use_of(last).cpu_us)
        self.max_rss_bytes = max([self.max_rss_bytes, *map(process_tree.peak_memory, last)])

    def report(self, problem: str, stopped: bool) -> dict[str, object]:
        """What the host is told."""
        return {
            "status": self.first_status,
            "problem": problem,
            "ended_by": self.ended_by,
            "cpu_us": max(self.cpu_us, self._seen_cpu_us),
            "max_rss_bytes": self.max_rss_bytes,
            "wall_us": round((time.monotonic() - self._began) * 1_000_000),
            "kernel_kills": process_tree.kills_by_kernel() - self._kills_before,
            "stopped": stopped,
        }


def _watch(task: dict[str, Any], control: int, stirred: int) -> dict[str, object]:
    first, problem = _start(task)
    watch = Watch(task, first)
    # Not `select`: the numbers of the host's pipes may be beyond what it can take.
    poller = select.poll()
    for number in (control, stirred):
        poller.register(number, select.POLLIN)
    while watch.reap() and watch.first_status is None and not watch.ended_by:
        ready = {number for number, _ in poller.poll(SAMPLE_SECONDS * 1_000)}
        if control in ready or (stirred in ready and signal.SIGTERM in os.read(stirred, 4_096)):
            watch.ended_by = "host"
        elif watch.first_status is None:
            watch.reap()
            if watch.first_status is None:
                watch.look()
    return watch.report(problem, watch.stop())


def _host_is_gone(control: int, patience: float) -> bool:
    # A host that lives says a word before it closes the pipe, and closes it only once it has our report. One that dies
    # with several threads is told of by the kernel when the first has ended, and its pipes end with the last.
    poller = select.poll()
    poller.register(control, select.POLLIN)
    return bool(poller.poll(patience * 1_000)) and not os.read(control, 1)


def main() -> None:
    """Arguments: the file descriptors of task, control and report."""
    task_fd, control, report = map(int, sys.argv[1:4])
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    stirred, stir = os.pipe()
    os.set_blocking(stir, False)
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.set_wakeup_fd(stir, warn_on_full_buffer=False)
    for number in (control, report):
        os.set_inheritable(number, False)
    with os.fdopen(task_fd, "rb") as given:
        task = json.load(given)
    _guard_self(task["host"])
    report_now = _watch(task, control, stirred)
    with suppress(BrokenPipeError):  # the host is gone
        os.write(report, json.dumps(report_now).encode())
    if _host_is_gone(control, HOST_SECONDS if report_now["ended_by"] == "host" else 0):
        shutil.rmtree(task["folder"], ignore_errors=True)


if __name__ == "__main__":
    main()
