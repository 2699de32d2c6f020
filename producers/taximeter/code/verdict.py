"""What the launcher's report means. Pure.

Memory, in this order: the watch found the processes over the bound; or the kernel killed for want of memory while the
first process ended by a SIGKILL that was not ours; or the code failed and the last lines of its error output are those
with which a runtime gives up when it is refused memory (Python's MemoryError, C++'s bad_alloc, and their like). The
last is the code's own word, and only a label: code that prints it gains nothing.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from typing import Any, NamedTuple

from taximeter.code.result import CodeStatus

_LOOKED_AT = 4_096
_OUT_OF_MEMORY = re.compile(
    rb"^(?:[\w.]*MemoryError\b"
    rb"|terminate called after throwing an instance of 'std::bad_alloc'"
    rb"|fatal error: (?:runtime: )?(?:out of memory|cannot allocate memory)"
    rb"|.*JavaScript heap out of memory"
    rb"|.*java\.lang\.OutOfMemoryError"
    rb"|memory allocation of \d+ bytes failed"
    rb"|[^\n]{0,200}(?:Cannot allocate memory|out of memory|virtual memory exhausted)\s*$)",
    re.MULTILINE,
)
# A shell's and bubblewrap's way to say that a process ended by a signal.
_BY_SIGNAL = 128


class End(NamedTuple):
    """How the first process ended: one of the two, or neither."""

    exit_code: int | None
    signal: int | None


class Verdict(NamedTuple):
    """The label and why."""

    status: CodeStatus
    reason: str


def end_of(report: Mapping[str, Any], sandboxed: bool) -> End:
    """From the wait status. A sandbox passes a signal on as 128 + its number; it is read back as the signal."""
    status = report.get("status")
    if not isinstance(status, int) or report.get("problem"):
        return End(None, None)
    if status & 0x7F:
        return End(None, status & 0x7F)
    code = (status >> 8) & 0xFF
    if sandboxed and 0 < code - _BY_SIGNAL < signal.NSIG:
        return End(None, code - _BY_SIGNAL)
    return End(code, None)


def verdict(report: Mapping[str, Any], end: End, flooded: bool, stderr: bytes) -> Verdict:
    """The label of a run whose launcher reported."""
    ended_by = str(report.get("ended_by"))
    if report.get("problem"):
        return Verdict(CodeStatus.ERROR, f"it could not be started: {report['problem']}")
    if flooded:
        return Verdict(CodeStatus.OUTPUT_LIMIT, "it wrote more than the limit of its output")
    if ended_by in _ENDED_BY:
        return _ENDED_BY[ended_by]
    if end.signal == signal.SIGXCPU:
        return Verdict(CodeStatus.TIMEOUT, "one of its processes used up the CPU time")
    if end.signal == signal.SIGKILL and report.get("kernel_kills", 0) > 0:
        return Verdict(CodeStatus.MEMORY_BREACH, "the kernel killed it for want of memory on this machine")
    if end.exit_code == 0:
        return Verdict(CodeStatus.SUCCESS, "")
    if _OUT_OF_MEMORY.search(_tail(stderr)):
        return Verdict(CodeStatus.MEMORY_BREACH, "it was refused memory")
    if end.signal is not None:
        return Verdict(CodeStatus.ERROR, f"it ended by signal {_name(end.signal)}")
    return Verdict(CodeStatus.ERROR, f"it ended with exit code {end.exit_code}")


_ENDED_BY: Mapping[str, Verdict] = {
    "wall": Verdict(CodeStatus.TIMEOUT, "it ran longer than the limit"),
    "cpu": Verdict(CodeStatus.TIMEOUT, "it used more CPU time than the limit"),
    "memory": Verdict(CodeStatus.MEMORY_BREACH, "it held more memory than the limit"),
    "processes": Verdict(CodeStatus.ERROR, "it had more processes than the limit"),
    "host": Verdict(CodeStatus.ERROR, "it was stopped by the host"),
}


def _tail(stderr: bytes) -> bytes:
    # The last words are the runtime's; what was written long before the end may be anything.
    return b"\n".join(stderr[-_LOOKED_AT:].rstrip().splitlines()[-12:])


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
