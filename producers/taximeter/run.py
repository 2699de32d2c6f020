"""A run: one execution of a workflow. It emits nothing itself; its attribution stands on every event of its nodes."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from taximeter import current
from taximeter.attribution import Attribution
from taximeter.emission import Outlet
from taximeter.faults import Faults
from taximeter.node import Node, NodeFacts, node_facts


class Run:
    """Made by `Meter.run`. As a (sync or async) context manager it is the current run of its block."""

    __slots__ = ("__weakref__", "_loose", "_outlet", "attribution")

    def __init__(self, outlet: Outlet, attribution: Attribution) -> None:
        self.attribution = attribution
        self._outlet = outlet
        self._loose: Node | None = None

    @property
    def run_id(self) -> str:
        """The id of the run: the caller's, else a UUIDv7, so that ids sort by time."""
        return str(self.attribution["run_id"])

    @property
    def faults(self) -> Faults:
        """Where its hooks note what went wrong."""
        return self._outlet.faults

    @property
    def loose(self) -> Node:
        """Where use inside the run but outside its nodes is recorded: each record is an event of kind usage."""
        if self._loose is None:
            self._loose = Node(self, self._outlet, NodeFacts())
        return self._loose

    def node(self, node_id: str, *, node_type: str = "", attempt: int = 1, agent_name: str = "") -> Node:
        """One attempt of a node. Nothing happens before its block is entered; then it emits exactly once, at its end.

        `attempt` is 1 for the first try. `node_type` is ai, http, code, plugin, or the executor's own word.
        """
        words = {"node_id": node_id, "node_type": node_type, "attempt": attempt, "agent_name": agent_name}
        return Node(self, self._outlet, node_facts(words, self.faults))

    def __enter__(self) -> Self:
        try:
            current.enter(current.InRun(self))
        except Exception as error:  # noqa: BLE001 - no hook ever raises into the host
            self.faults.note("run", error)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            current.leave_run(self)
        except Exception as fault:  # noqa: BLE001 - no hook ever raises into the host
            self.faults.note("run", fault)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        self.__exit__(kind, error, trace)
