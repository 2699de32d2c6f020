"""What a code run came to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CodeStatus(StrEnum):
    """How the code ended."""

    SUCCESS = "success"
    ERROR = "error"
    TIMEOUT = "timeout"
    MEMORY_BREACH = "memory_breach"
    OUTPUT_LIMIT = "output_limit"


class Sandbox(StrEnum):
    """What stood between the code and the host, apart from a process of its own."""

    BUBBLEWRAP = "bubblewrap"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class CodeResult:
    """One run of code.

    `exit_code` and `signal`: one of them, as the first process ended; both None if it never started or its
    end is not known. `cpu_us` (microseconds) is the CPU time of all processes, `max_rss_bytes` the
    peak of the largest one: by the kernel's `wait4`, and for what it tells nobody about, by /proc just before the end.
    None is not known. `wall_us` is the time from its start to its end.
    """

    status: CodeStatus
    exit_code: int | None
    signal: int | None
    stdout: bytes
    stderr: bytes
    cpu_us: int | None
    max_rss_bytes: int | None
    wall_us: int
    sandbox: Sandbox
    reason: str
    """Why the status is what it is, for people. It quotes nothing of the code's output."""

    @property
    def ok(self) -> bool:
        """Whether the code ended by itself with exit code 0."""
        return self.status is CodeStatus.SUCCESS
