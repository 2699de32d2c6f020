"""Nodes and runs that ask before they start, as blocks (sync and async) and as decorators.

A node that is denied does not start and emits nothing: its block raises Denied. One that may run is settled at its end
by what its own records say, and its events carry the ticket's transaction. `degrade_to` says how a limit wants the work
done; a decorated function gets it if it has a parameter of that name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, TypeVar, Unpack, cast

from taximeter.attribution import RunOptions
from taximeter.current import current_run
from taximeter.node import Node, node_facts
from taximeter.quota.actual import Settling
from taximeter.quota.grains import Amount
from taximeter.quota.run_hold import RunHold
from taximeter.quota.subjects import subject_of
from taximeter.quota.ticket import Ticket
from taximeter.run import Run
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.quota.subject import Subject
from taximeter_schemas.words import Context

if TYPE_CHECKING:
    from taximeter.meter import Meter
    from taximeter.quota.gate import QuotaGate

Function = TypeVar("Function", bound=Callable[..., Any])
Amounts = Mapping[str, Amount]

# The holds of the runs around this code, the innermost last, each with its run's id.
_holds: ContextVar[tuple[tuple[str, RunHold], ...]] = ContextVar("taximeter_run_holds", default=())


class MeteredWords(TypedDict, total=False):
    """The words of `run.node`, whose run it is (the current one unless given), and for whom it asks.

    With `per_run` the limits of a single run count too, at the price of a lease for each run.
    """

    node_type: str
    attempt: int
    agent_name: str
    run: Run | None
    subject: Subject | None
    per_run: bool


class MeteredRunWords(RunOptions, total=False):
    """The words of `meter.run`, and what to hold: amounts, or a percentile of what runs of its workflow used.

    `otherwise` is held where no run of the workflow is known yet; `ttl` is in seconds, renewed while the run goes on.
    """

    hold: Amounts | Literal["p50", "p95"] | None
    otherwise: Amounts | None
    ttl: int


class MeteredNode:
    """One node behind a gate: a block, or a decorator that makes a block of every call."""

    def __init__(
        self, gate: QuotaGate, node_id: str, amounts: Amounts | Callable[..., Amounts], words: MeteredWords
    ) -> None:
        self._gate, self._node_id, self._amounts, self._words = gate, node_id, amounts, words
        self.ticket: Ticket | None = None
        self.node: Node | None = None

    @property
    def degrade_to(self) -> str:
        """How a limit that is used up wants the work done; empty where none is."""
        return "" if self.ticket is None else self.ticket.degrade_to

    def _run(self) -> Run:
        run = self._words.get("run") or current_run()
        if not isinstance(run, Run):
            raise Misconfigured(
                f"the node {self._node_id!r} is outside every run, so nobody can say whose use it is",
                mend="run it inside `with meter.run(account_id=...)`, or give run=",
            )
        return run

    def _subject(self, run: Run) -> Subject:
        return self._words.get("subject") or subject_of(run, per_run=self._words.get("per_run", False))

    def _free(self, run: Run) -> Ticket | None:
        """What the operator does for himself (context `system`) counts against nobody's quota; a run's hold decides
        in-process. None: the gate is asked.
        """
        if run.attribution.get("context") == Context.SYSTEM:
            return Ticket(None, None, {}, allowed=True)
        hold = held_by(run)
        return None if hold is None else hold.check(self._asked())

    def _begin(self, run: Run, ticket: Ticket) -> None:
        self.ticket = ticket.or_raise()
        words = {name: word for name, word in self._words.items() if name in ("node_type", "attempt", "agent_name")}
        outlet = Settling(run.outlet, run.attribution, ticket, self._asked())
        self.node = Node(run, outlet, node_facts({**words, "node_id": self._node_id}, run.faults))

    def _asked(self) -> Amounts:
        return cast(Amounts, self._amounts)

    def __enter__(self) -> Self:
        run = self._run()
        self._begin(run, self._free(run) or self._gate.check(self._subject(run), self._asked()))
        self._entered().__enter__()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        self._entered().__exit__(kind, error, trace)

    async def __aenter__(self) -> Self:
        from taximeter.quota.aio import check

        run = self._run()
        self._begin(run, self._free(run) or await check(self._gate, self._subject(run), self._asked()))
        await self._entered().__aenter__()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._entered().__aexit__(kind, error, trace)

    def _entered(self) -> Node:
        if self.node is None:
            raise RuntimeError("the block was not entered")
        return self.node

    def _for(self, given: tuple[Any, ...], named: Mapping[str, Any]) -> MeteredNode:
        amounts = self._amounts(*given, **named) if callable(self._amounts) else self._amounts
        return MeteredNode(self._gate, self._node_id, amounts, self._words)

    def __call__(self, function: Function) -> Function:
        """Every call of the function is such a node."""
        return _decorated(function, self._for)


class MeteredRun:
    """A run behind a gate: a block that gives the run, or a decorator that makes a run of every call."""

    def __init__(self, gate: QuotaGate, meter: Meter, words: MeteredRunWords) -> None:
        self._gate, self._meter, self._words = gate, meter, words
        self.hold: RunHold | None = None
        self._current: Run | None = None

    @property
    def degrade_to(self) -> str:
        """How a limit that is used up wants the work done; empty where none is."""
        return "" if self.hold is None else self.hold.degrade_to

    def _start(self) -> Run:
        """Reserves, which waits for the quota service."""
        words: dict[str, Any] = dict(self._words)
        hold, otherwise = words.pop("hold", None), words.pop("otherwise", None)
        ttl = words.pop("ttl", None)
        run = self._meter.run(**words)
        if hold is None:
            return run
        subject = subject_of(run, per_run=True)
        more: dict[str, Any] = {"otherwise": otherwise} | ({} if ttl is None else {"ttl": ttl})
        if isinstance(hold, str):
            workflow = str(run.attribution.get("workflow_id", ""))
            self.hold = self._gate.reserve_run(subject, workflow=workflow, percentile=cast(Any, hold), **more)
        else:
            self.hold = self._gate.reserve_run(subject, hold, **more)
        return self._meter.run(**{**words, "run_id": run.run_id, "transaction_id": self.hold.transaction_id})

    def __enter__(self) -> Run:
        return self._enter(self._start())

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        self._leave()
        if self.hold is not None:
            self.hold.__exit__(kind, error, trace)

    async def __aenter__(self) -> Run:
        import asyncio

        return self._enter(await asyncio.to_thread(self._start))

    async def __aexit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        self._leave()
        if self.hold is not None:
            await self.hold.__aexit__(kind, error, trace)

    def _enter(self, run: Run) -> Run:
        self._current = run.__enter__()
        if self.hold is not None:
            _holds.set((*_holds.get(), (run.run_id, self.hold)))
        return run

    def _leave(self) -> None:
        run, self._current = self._current, None
        if run is not None:
            _holds.set(tuple(one for one in _holds.get() if one[1] is not self.hold))
            run.__exit__(None, None, None)

    def _for(self, _given: tuple[Any, ...], _named: Mapping[str, Any]) -> MeteredRun:
        return MeteredRun(self._gate, self._meter, self._words)

    def __call__(self, function: Function) -> Function:
        """Every call of the function is such a run."""
        return _decorated(function, self._for)


class Decorators:
    """What a gate offers for nodes and runs."""

    def metered_node(
        self, node_id: str, amounts: Amounts | Callable[..., Amounts], **words: Unpack[MeteredWords]
    ) -> MeteredNode:
        """A node that asks for `amounts` first. As a decorator, `amounts` may be a function of the call's arguments."""
        return MeteredNode(cast("QuotaGate", self), node_id, amounts, words)

    def run(self, meter: Meter, **words: Unpack[MeteredRunWords]) -> MeteredRun:
        """A run that holds what it is to use before it starts, or is denied. Its metered nodes draw from that."""
        return MeteredRun(cast("QuotaGate", self), meter, words)


def held_by(run: Run) -> RunHold | None:
    """The hold of a run that was entered in this context."""
    return next((hold for run_id, hold in reversed(_holds.get()) if run_id == run.run_id), None)


def _decorated(function: Function, block_for: Callable[[tuple[Any, ...], Mapping[str, Any]], Any]) -> Function:
    asks = "degrade_to" in inspect.signature(function).parameters

    def told(named: dict[str, Any], block: Any) -> dict[str, Any]:
        return {**named, "degrade_to": block.degrade_to} if asks else named

    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def awaited(*given: Any, **named: Any) -> Any:
            block = block_for(given, named)
            async with block:
                return await function(*given, **told(named, block))

        return cast(Function, awaited)

    @wraps(function)
    def called(*given: Any, **named: Any) -> Any:
        block = block_for(given, named)
        with block:
            return function(*given, **told(named, block))

    return cast(Function, called)
