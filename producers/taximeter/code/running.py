"""`run_code` and `arun_code`: one run of untrusted code, from its folder to its result and the node's counters.

The folder is new and is deleted at the end. Nothing is left running: not after an exception, not after a cancellation,
not after the host's end. What the launcher could not measure is None, and nothing is recorded for it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taximeter.code import sandbox
from taximeter.code.limits import CodeLimits
from taximeter.code.result import CodeResult, CodeStatus, Sandbox
from taximeter.code.supervised import Conversation
from taximeter.code.verdict import Verdict, end_of, verdict
from taximeter.current import current_node
from taximeter.node import Node
from taximeter.nothing import NullNode
from taximeter_schemas.errors import Misconfigured

_OPEN_FILES = 256
_THREADS_EACH = 8
_DEFAULT_LIMITS = CodeLimits()


def run_code(
    code: str | Sequence[str],
    *,
    limits: CodeLimits = _DEFAULT_LIMITS,
    stdin: str | bytes | None = None,
    env: Mapping[str, str] | None = None,
    node: Node | NullNode | None = None,
    require_sandbox: bool = False,
) -> CodeResult:
    """Run Python source (a text) or a command (a list of texts) in a process of its own, and wait for its end.

    The code sees PATH, HOME, TMPDIR, LANG and `env`, nothing else of the host's environment. CPU time, peak memory and
    breaches are recorded on `node`, the current one unless given. Raises Misconfigured for a command that cannot be run
    here, or with `require_sandbox` where there is no bubblewrap; OSError if this machine can start no process.
    """
    return _run(_Job(code, limits, stdin, env, require_sandbox), node or current_node(), None)


async def arun_code(
    code: str | Sequence[str],
    *,
    limits: CodeLimits = _DEFAULT_LIMITS,
    stdin: str | bytes | None = None,
    env: Mapping[str, str] | None = None,
    node: Node | NullNode | None = None,
    require_sandbox: bool = False,
) -> CodeResult:
    """As `run_code`, without blocking the event loop. A cancellation kills the code before it is passed on."""
    where = node or current_node()
    loop = asyncio.get_running_loop()
    done: asyncio.Future[CodeResult] = loop.create_future()
    stop_read, stop_write = os.pipe()

    def work() -> None:
        result, failure = None, None
        try:
            result = _run(_Job(code, limits, stdin, env, require_sandbox), where, stop_read)
        except BaseException as error:  # noqa: BLE001 - it is handed to the task that waits
            failure = error
        finally:
            os.close(stop_read)
        with suppress(RuntimeError):  # the loop was closed; nobody waits
            loop.call_soon_threadsafe(_settle, done, result, failure)

    with ExitStack() as stop:
        # Its end is the sign to stop; after a success nobody listens any more.
        stop.callback(os.close, stop_write)
        try:
            # A thread of its own, because the loop's few are for short work. It is a daemon: at the interpreter's end
            # the kernel tells the launcher, and nothing stays.
            threading.Thread(target=work, name="taximeter-code", daemon=True).start()
        except RuntimeError:
            os.close(stop_read)
            raise
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            stop.close()
            await _ended(done)
            raise


def _settle(done: asyncio.Future[CodeResult], result: CodeResult | None, failure: BaseException | None) -> None:
    if done.done():
        return
    if result is not None:
        done.set_result(result)
    elif failure is not None:
        done.set_exception(failure)


async def _ended(done: asyncio.Future[CodeResult]) -> None:
    while not done.done():
        # Cancelled once more: the code's end is a matter of moments, and nothing of it may stay.
        with suppress(asyncio.CancelledError):
            await asyncio.wait([done])
    if not done.cancelled():
        done.exception()


@dataclass(frozen=True, slots=True)
class _Job:
    """What is to be run. Raises Misconfigured where that cannot be."""

    code: str | Sequence[str]
    limits: CodeLimits
    stdin: str | bytes | None
    env: Mapping[str, str] | None
    require_sandbox: bool

    def input(self) -> bytes | None:
        """The standard input."""
        return self.stdin.encode() if isinstance(self.stdin, str) else self.stdin

    def chosen(self) -> Sandbox:
        """Where it runs."""
        if not sys.platform.startswith("linux"):
            raise Misconfigured("code nodes need Linux", mend="run the executor on Linux, or run the code elsewhere")
        return sandbox.chosen(self.require_sandbox)

    def task(self, folder: Path, boxed: bool) -> dict[str, Any]:
        """What the launcher is told. The folder exists."""
        source = folder.parent / "main.py"
        if isinstance(self.code, str):
            source.write_text(self.code, encoding="utf-8", errors="surrogatepass")
            argv = sandbox.python(source)
        else:
            argv = sandbox.program(self.code)
        own = {"PATH": sandbox.SEARCHED, "HOME": str(folder), "TMPDIR": str(folder), "LANG": "C.UTF-8"}
        return {
            "argv": sandbox.wrapped(argv, folder, self.limits) if boxed else argv,
            "cwd": str(folder),
            "folder": str(folder.parent),
            "env": own | _texts(self.env or {}),
            # A sandbox that is installed with the set-user-id bit would not work with it, and sets it itself.
            "no_new_privileges": not boxed,
            "rlimits": _rlimits(self.limits),
            # Threads count too; the launcher counts the run's own processes more closely.
            "crowd": _THREADS_EACH * self.limits.processes,
            "bounds": _bounds(self.limits, boxed),
        }


def _run(job: _Job, node: Node | NullNode, stop_fd: int | None) -> CodeResult:
    began = time.monotonic()
    where = job.chosen()
    boxed = where is Sandbox.BUBBLEWRAP
    with tempfile.TemporaryDirectory(prefix="taximeter-code-", ignore_cleanup_errors=True) as root:
        folder = Path(root) / "work"
        folder.mkdir()
        told = Conversation(job.task(folder, boxed), job.input(), job.limits.output_bytes, stop_fd).hold()
    report = told.report
    end = end_of(report, boxed)
    found = Verdict(CodeStatus.ERROR, "its watcher was killed, so its end and its use are not known")
    if report:
        found = verdict(report, end, told.flooded, told.stderr)
    result = CodeResult(
        status=found.status,
        exit_code=end.exit_code,
        signal=end.signal,
        stdout=told.stdout,
        stderr=told.stderr,
        cpu_us=report.get("cpu_us"),
        max_rss_bytes=report.get("max_rss_bytes"),
        wall_us=report.get("wall_us", round((time.monotonic() - began) * 1_000_000)),
        sandbox=where,
        reason=found.reason,
    )
    _record(result, node)
    return result


def _record(result: CodeResult, node: Node | NullNode) -> None:
    if result.cpu_us is not None and result.max_rss_bytes is not None:
        node.code(cpu_us=result.cpu_us, max_rss_bytes=result.max_rss_bytes)
    if result.status is CodeStatus.TIMEOUT:
        node.breach("timeout", result.reason)
    elif result.status is CodeStatus.MEMORY_BREACH:
        node.breach("memory", result.reason)


def _rlimits(limits: CodeLimits) -> dict[str, int]:
    # RLIMIT_DATA, not RLIMIT_AS: it bounds what a process may write to, and leaves alone the address space that
    # runtimes such as Node, Go and Java reserve and never touch.
    return {
        "RLIMIT_DATA": int(limits.memory_bytes),
        "RLIMIT_CPU": int(limits.cpu_seconds) + 1,
        "RLIMIT_FSIZE": int(limits.file_bytes),
        "RLIMIT_NOFILE": _OPEN_FILES,
        "RLIMIT_CORE": 0,
    }


def _bounds(limits: CodeLimits, boxed: bool) -> dict[str, float]:
    return {
        "wall_seconds": limits.wall_seconds,
        "cpu_seconds": limits.cpu_seconds,
        "memory_bytes": limits.memory_bytes,
        # The sandbox's own two are not the code's.
        "processes": limits.processes + (2 if boxed else 0),
    }


def _texts(env: Mapping[str, str]) -> dict[str, str]:
    for name, value in env.items():
        if not isinstance(name, str) or not isinstance(value, str) or not name or "=" in name or "\0" in name + value:
            raise Misconfigured(
                "the environment of a code run has a name or a value that no process can have",
                mend="give env as texts by name, without NUL, and names without '='",
            )
    return dict(env)
