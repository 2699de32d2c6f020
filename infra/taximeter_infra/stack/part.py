"""What the supervisor asks of a part of the stack, and what it says about one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from taximeter_infra.stack.child import ChildSpec
from taximeter_schemas.errors import TaximeterError

State = Literal["starting", "up", "restarting", "down", "stopped"]


class Part(Protocol):
    """A server that the stack runs."""

    name: str
    """Short, for logs and tables: `kafka`, `clickhouse`."""
    restarts: bool
    """Whether to start it again when it dies: only where its data survive."""
    ready_within: float
    """Seconds that a start may take."""

    def prepare(self) -> ChildSpec:
        """Write what the server reads and say how to run it. Called before every start.

        Raises Misconfigured where the machine lacks something.
        """

    def is_ready(self) -> bool:
        """One look at whether our server (and nobody else's) answers. Blocks for two seconds at most; never raises."""

    def explain(self, exit_code: int, log: str) -> TaximeterError:
        """Why a start failed, from the exit code and the tail of the log of this start."""


@dataclass(frozen=True)
class PartHealth:
    """How one part is. `detail` is one line for people: an address, or what went wrong."""

    name: str
    product: str
    state: State
    detail: str
    pid: int | None = None
    restarts: int = 0
