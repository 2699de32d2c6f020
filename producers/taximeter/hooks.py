"""Callbacks for executors that already have events: `NodeHooks`, and `AsyncNodeHooks` with the same names to await.

The open runs and nodes stand in a bounded table. Every node that was started emits exactly once: when it is completed,
else as cancelled when its run finishes, else with outcome unknown when the table needs its place. Ids that were never
announced are counted as hook errors and still metered, by ids alone. A forked child starts with an empty table.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Unpack

from taximeter import process
from taximeter.attribution import RunWords, Subject
from taximeter.faults import Faults, guarded
from taximeter.meter import Meter
from taximeter.node import Node
from taximeter.nothing import NULL_NODE, NullNode
from taximeter.run import Run
from taximeter.use import UseWords
from taximeter_schemas.words import Outcome

_NodeKey = tuple[str, int]


class _OpenRun:
    """A run's nodes; None stands where one has ended."""

    __slots__ = ("nodes", "run")

    def __init__(self, run: Run) -> None:
        self.run = run
        self.nodes: dict[_NodeKey, Node | None] = {}


class NodeHooks:
    """The callback form of a meter. Safe across threads; no callback raises or waits.

    `max_nodes` bounds the nodes kept in memory, open and ended, over all open runs; the oldest run gives way.
    """

    def __init__(self, meter: Meter, *, max_nodes: int = 100_000) -> None:
        self._meter = meter
        self._max_nodes = max(1, max_nodes)
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.RLock()
        self._runs: OrderedDict[str, _OpenRun] = OrderedDict()
        self._finished: OrderedDict[str, None] = OrderedDict()
        self._entries = 0
        # Last: a second thread of a forked child must not take the parent's lock for its own.
        self._epoch = process.epoch()

    @property
    def faults(self) -> Faults:
        """Where callbacks note what went wrong."""
        return self._meter.faults

    @guarded
    def on_run_started(self, run_id: str, **words: Unpack[Subject]) -> None:
        """Announce a run with its attribution."""
        with self._table():
            if run_id in self._runs:
                raise ValueError("the run was started before")
            self._open(run_id, words)
        self._make_room()

    @guarded
    def on_node_started(
        self, run_id: str, node_id: str, *, node_type: str = "", attempt: int = 1, agent_name: str = "",
        transaction_id: str | None = None,
    ) -> None:  # fmt: skip
        """Start an attempt. It also becomes the current node of the calling context, until it ends.

        `transaction_id` is what a quota reservation for it was given; unless given it is the run's.
        """
        with self._table():
            open_run = self._known(run_id)
            key = (node_id, attempt)
            if open_run.nodes.get(key) is not None:
                raise ValueError("the node attempt was started before")
            node = open_run.run.node(
                node_id, node_type=node_type, attempt=attempt, agent_name=agent_name, transaction_id=transaction_id
            )
            self._entries += key not in open_run.nodes
            open_run.nodes[key] = node
        node.start()
        self._make_room()

    @guarded
    def on_node_completed(
        self, run_id: str, node_id: str, *, attempt: int = 1, outcome: Outcome | str | None = None,
        **use: Unpack[UseWords],
    ) -> None:  # fmt: skip
        """End an attempt. `ai={...}`, `http={...}`, `plugin={...}`, `code={...}` add what the event tells of."""
        self._end(run_id, (node_id, attempt), lambda node: (node.record(use), node.finish(outcome=outcome)))

    @guarded
    def on_node_error(self, run_id: str, node_id: str, error: BaseException | str, *, attempt: int = 1) -> None:
        """End an attempt by its error; timeouts and cancellations are told apart by the kind of the exception."""

        def end(node: Node) -> None:
            if isinstance(error, BaseException):
                node.finish(error)
            else:
                node.describe(error_message=error)
                node.finish(outcome=Outcome.ERROR)

        self._end(run_id, (node_id, attempt), end)

    @guarded
    def on_node_cancelled(self, run_id: str, node_id: str, *, attempt: int = 1) -> None:
        """End an attempt that was cancelled."""
        self._end(run_id, (node_id, attempt), lambda node: node.finish(outcome=Outcome.CANCELLED))

    @guarded
    def on_run_finished(self, run_id: str) -> None:
        """End a run. Its nodes that have not ended are emitted as cancelled."""
        with self._table():
            if run_id not in self._runs:
                raise ValueError("the run is not open")
            left = self._close(run_id)
        for node in left:
            node.finish(outcome=Outcome.CANCELLED)

    def node(self, run_id: str, node_id: str, *, attempt: int = 1) -> Node | NullNode:
        """The open node, so that its use can be recorded from elsewhere; else one that counts it as unattributed."""
        try:
            with self._table():
                open_run = self._runs.get(run_id)
                found = open_run.nodes.get((node_id, attempt)) if open_run is not None else None
        except Exception as error:  # noqa: BLE001 - an id that cannot be hashed is no reason to raise into the host
            self.faults.note("NodeHooks.node", error)
            return NULL_NODE
        return NULL_NODE if found is None else found

    def _table(self) -> threading.RLock:
        if self._epoch != process.epoch():
            self._begin()
        return self._lock

    def _open(self, run_id: str, words: Subject) -> _OpenRun:
        # A mistake in the words must not lose the id that everything else hangs on.
        named: RunWords = {**words, "run_id": run_id}
        self._finished.pop(run_id, None)
        opened = self._runs[run_id] = _OpenRun(self._meter.run(**named))
        self._entries += 1
        return opened

    def _known(self, run_id: str) -> _OpenRun:
        found = self._runs.get(run_id)
        if found is None:
            self.faults.note("NodeHooks.run", "a node came before its run, or after it; it is metered by its ids alone")
            found = self._open(run_id, {})
        return found

    def _end(self, run_id: str, key: _NodeKey, end: Callable[[Node], object]) -> None:
        with self._table():
            if run_id in self._finished:
                raise ValueError("the run has finished before; its node was emitted then")
            open_run = self._known(run_id)
            if key in open_run.nodes:
                node = open_run.nodes[key]
                if node is None:
                    raise ValueError("the node attempt has ended before")
            else:
                self.faults.note("NodeHooks.node", "a node ended that never started; its duration is not known")
                node = open_run.run.node(key[0], attempt=key[1])
                self._entries += 1
                node.start()
            open_run.nodes[key] = None
        end(node)
        self._make_room()

    def _close(self, run_id: str) -> list[Node]:
        closed = self._runs.pop(run_id)
        self._entries -= 1 + len(closed.nodes)
        self._finished[run_id] = None
        if len(self._finished) > self._max_nodes:
            self._finished.popitem(last=False)
        return [node for node in closed.nodes.values() if node is not None]

    def _make_room(self) -> None:
        evicted: list[Node] = []
        with self._table():
            while self._entries > self._max_nodes and self._runs:
                evicted += self._close(next(iter(self._runs)))
        for node in evicted:
            self.faults.note("NodeHooks.table", "the table of open nodes is full; the oldest run was closed")
            node.finish(outcome=Outcome.UNKNOWN)


class AsyncNodeHooks:
    """`NodeHooks` for executors that await their callbacks. None of them waits for anything."""

    def __init__(self, meter: Meter, *, max_nodes: int = 100_000) -> None:
        self._hooks = NodeHooks(meter, max_nodes=max_nodes)

    async def on_run_started(self, run_id: str, **words: Unpack[Subject]) -> None:
        """See NodeHooks."""
        self._hooks.on_run_started(run_id, **words)

    async def on_node_started(
        self, run_id: str, node_id: str, *, node_type: str = "", attempt: int = 1, agent_name: str = "",
        transaction_id: str | None = None,
    ) -> None:  # fmt: skip
        """See NodeHooks."""
        self._hooks.on_node_started(
            run_id, node_id, node_type=node_type, attempt=attempt, agent_name=agent_name, transaction_id=transaction_id
        )

    async def on_node_completed(
        self, run_id: str, node_id: str, *, attempt: int = 1, outcome: Outcome | str | None = None,
        **use: Unpack[UseWords],
    ) -> None:  # fmt: skip
        """See NodeHooks."""
        self._hooks.on_node_completed(run_id, node_id, attempt=attempt, outcome=outcome, **use)

    async def on_node_error(self, run_id: str, node_id: str, error: BaseException | str, *, attempt: int = 1) -> None:
        """See NodeHooks."""
        self._hooks.on_node_error(run_id, node_id, error, attempt=attempt)

    async def on_node_cancelled(self, run_id: str, node_id: str, *, attempt: int = 1) -> None:
        """See NodeHooks."""
        self._hooks.on_node_cancelled(run_id, node_id, attempt=attempt)

    async def on_run_finished(self, run_id: str) -> None:
        """See NodeHooks."""
        self._hooks.on_run_finished(run_id)

    def node(self, run_id: str, node_id: str, *, attempt: int = 1) -> Node | NullNode:
        """See NodeHooks."""
        return self._hooks.node(run_id, node_id, attempt=attempt)
