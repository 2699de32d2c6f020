"""A run: one execution of a workflow. It emits nothing itself; its attribution stands on every event of its nodes."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from taximeter import accept, current
from taximeter.accept import INT32, TEXT
from taximeter.attribution import Attribution
from taximeter.carrying import Carrying
from taximeter.emission import Outlet
from taximeter.faults import Faults, guarded, guarded_else
from taximeter.holding import Holding
from taximeter.node import Node, NodeFacts, node_facts


class Run:
    """Made by `Meter.run`. As a (sync or async) context manager it is the current run of its block."""

    __slots__ = ("__weakref__", "_entered", "_held", "_loose", "_outlet", "attribution")

    def __init__(self, outlet: Outlet, attribution: Attribution, *, keep: int = 0) -> None:
        """`keep` is how many emissions may wait for its end; 0: each flows at once."""
        self.attribution = attribution
        self._held = Holding(outlet, keep) if keep else None
        self._outlet: Outlet = self._held or outlet
        self._loose: Node | None = None
        self._entered = 0

    @property
    def run_id(self) -> str:
        """The id of the run: the caller's, else a UUIDv7, so that ids sort by time."""
        return str(self.attribution["run_id"])

    @property
    def faults(self) -> Faults:
        """Where its hooks note what went wrong."""
        return self._outlet.faults

    @property
    def outlet(self) -> Outlet:
        """Where its nodes hand over what they used."""
        return self._outlet

    @property
    def loose(self) -> Node:
        """Where use inside the run but outside its nodes is recorded: each record is an event of kind usage."""
        if self._loose is None:
            self._loose = self._nameless()
        return self._loose

    def _nameless(self) -> Node:
        return Node(self, self._outlet, NodeFacts())

    @guarded_else(_nameless)
    def node(
        self, node_id: str, *, node_type: str = "", attempt: int = 1, agent_name: str = "",
        transaction_id: str | None = None,
    ) -> Node:  # fmt: skip
        """One attempt of a node. Nothing happens before its block is entered; then it emits exactly once, at its end.

        `attempt` is 1 for the first try. `node_type` is ai, http, code, plugin, or the executor's own word.
        `transaction_id` is what a quota reservation for this attempt was given; unless given it is the run's.
        """
        if transaction_id is not None:
            return self._in_transaction(transaction_id, NodeFacts(node_id, node_type, attempt, agent_name))
        if type(node_id) is type(node_type) is type(agent_name) is str and type(attempt) is int:
            texts = node_id + node_type + agent_name
            if texts.isascii() and len(texts) <= TEXT and 0 <= attempt <= INT32:
                # Nothing to read: no rule would change any of it.
                return Node(self, self._outlet, (node_id, node_type, attempt, agent_name))
        words = {"node_id": node_id, "node_type": node_type, "attempt": attempt, "agent_name": agent_name}
        return Node(self, self._outlet, node_facts(words, self.faults))

    def _in_transaction(self, transaction_id: str, facts: NodeFacts) -> Node:
        outlet = Carrying(self._outlet, {**self.attribution, "transaction_id": accept.text(transaction_id)})
        return Node(self, outlet, node_facts(facts._asdict(), self.faults))

    @guarded
    def _enter(self) -> None:
        self._entered += 1
        current.enter(current.InRun(self))

    @guarded
    def _leave(self) -> None:
        current.leave_run(self)
        self._entered -= 1
        if self._held is not None and not self._entered:
            self._held.release()

    def __enter__(self) -> Self:
        self._enter()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        self._leave()

    async def __aenter__(self) -> Self:
        self._enter()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        self._leave()
