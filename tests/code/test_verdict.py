"""What a report means: every label, told from values alone."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from taximeter.code.result import CodeStatus
from taximeter.code.verdict import end_of, verdict


def exited(code: int) -> dict[str, Any]:
    return {"status": code << 8}


def killed(number: int, **more: Any) -> dict[str, Any]:
    return {"status": int(number), **more}


CASES: list[tuple[dict[str, Any], bytes, CodeStatus]] = [
    (exited(0), b"MemoryError", CodeStatus.SUCCESS),
    (exited(3), b"", CodeStatus.ERROR),
    (exited(1), b"Traceback (most recent call last):\n  ...\nMemoryError\n", CodeStatus.MEMORY_BREACH),
    (exited(1), b"numpy._core._exceptions._ArrayMemoryError: Unable to allocate 8 GiB\n", CodeStatus.MEMORY_BREACH),
    (exited(1), b"ValueError: not a MemoryError\n", CodeStatus.ERROR),
    (exited(1), b"MemoryError" + b"\nlater lines" * 20, CodeStatus.ERROR),
    (exited(2), b"fatal error: runtime: out of memory\n\ngoroutine 1:\n", CodeStatus.MEMORY_BREACH),
    (exited(2), b"sh: fork: Cannot allocate memory\n", CodeStatus.MEMORY_BREACH),
    (
        killed(signal.SIGABRT),
        b"terminate called after throwing an instance of 'std::bad_alloc'\n",
        CodeStatus.MEMORY_BREACH,
    ),
    (killed(signal.SIGABRT), b"", CodeStatus.ERROR),
    (killed(signal.SIGSEGV), b"", CodeStatus.ERROR),
    (killed(signal.SIGKILL), b"", CodeStatus.ERROR),
    (killed(signal.SIGKILL, kernel_kills=1), b"", CodeStatus.MEMORY_BREACH),
    (exited(1) | {"kernel_kills": 1}, b"", CodeStatus.ERROR),
    (killed(signal.SIGXCPU), b"", CodeStatus.TIMEOUT),
    (killed(signal.SIGKILL, ended_by="wall"), b"MemoryError", CodeStatus.TIMEOUT),
    (killed(signal.SIGKILL, ended_by="cpu"), b"", CodeStatus.TIMEOUT),
    (killed(signal.SIGKILL, ended_by="memory"), b"", CodeStatus.MEMORY_BREACH),
    (killed(signal.SIGKILL, ended_by="processes"), b"", CodeStatus.ERROR),
    (killed(signal.SIGKILL, ended_by="host"), b"", CodeStatus.ERROR),
    (exited(127) | {"problem": "PermissionError: Permission denied"}, b"", CodeStatus.ERROR),
]


@pytest.mark.parametrize(("report", "stderr", "status"), CASES)
def test_every_end_has_its_label(report: dict[str, Any], stderr: bytes, status: CodeStatus) -> None:
    """The watch's word comes first, then the kernel's, then the code's own."""
    found = verdict(report, end_of(report, sandboxed=False), flooded=False, stderr=stderr)
    assert found.status is status
    assert (found.reason == "") is (status is CodeStatus.SUCCESS)


def test_a_flood_is_told_even_if_the_code_had_ended_well() -> None:
    """The output is not whole, so it is no success."""
    assert verdict(exited(0), end_of(exited(0), False), flooded=True, stderr=b"").status is CodeStatus.OUTPUT_LIMIT


def test_a_sandbox_says_a_signal_by_an_exit_code() -> None:
    """128 + its number, as shells do; outside a sandbox such a code is an exit code."""
    assert end_of(exited(139), sandboxed=True) == (None, signal.SIGSEGV)
    assert end_of(exited(139), sandboxed=False) == (139, None)
    assert end_of(exited(128), sandboxed=True) == (128, None)


def test_the_reason_quotes_nothing_of_the_output() -> None:
    """It travels in events, and the output may be anything."""
    assert "secret" not in verdict(exited(1), end_of(exited(1), False), False, b"secret\nMemoryError").reason
