"""A node attempt: it adds up what it used and emits exactly one event with `executions = 1`, at its end.

Further models and plugins become further events with `executions = 0`. What is recorded after the end (a stream that is
read later), and what a forked child records on its parent's node, is emitted at once as an event of kind usage: nothing
is lost and nothing counted twice. A crash of the process loses the nodes that were open in it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self, TypedDict, Unpack

from taximeter import accept, current, process
from taximeter.emission import Emission, Outlet
from taximeter.faults import Faults, guarded
from taximeter.outcome import message_of, outcome_of
from taximeter.use import (
    AiWords,
    Group,
    Tally,
    Used,
    UseWords,
    ai_group,
    breach_group,
    code_group,
    groups_of,
    http_group,
    plugin_group,
)
from taximeter_schemas.uuid7 import new_event_id
from taximeter_schemas.words import Kind, Outcome

if TYPE_CHECKING:
    from taximeter.run import Run


class NodeFacts(NamedTuple):
    """Which attempt of which node."""

    node_id: str = ""
    node_type: str = ""
    attempt: int = 1
    agent_name: str = ""


class NodeWords(TypedDict, total=False):
    """`NodeFacts` as keywords."""

    node_id: str
    node_type: str
    attempt: int
    agent_name: str


_FACT_RULES: Mapping[str, accept.Rule] = {
    "node_id": accept.text,
    "node_type": accept.text,
    "attempt": accept.small_count,
    "agent_name": accept.text,
}
_DEBUG_RULES: Mapping[str, accept.Rule] = {
    "error_message": accept.long_text,
    "description": accept.long_text,
    "provider_metadata": accept.texts,
}


class DebugWords(TypedDict, total=False):
    """Texts for whoever looks for the cause of something. All of it is optional."""

    error_message: str | None
    description: str | None
    provider_metadata: Mapping[str, str] | None


def node_facts(words: Mapping[str, object], faults: Faults) -> NodeFacts:
    """The facts as far as they can be read. Never raises."""
    return NodeFacts(**accept.take(words, _FACT_RULES, faults, "run.node"))


class Node:
    """Made by `Run.node`. Its methods may be called from several threads; none raises, none waits."""

    __slots__ = (
        "__weakref__", "_debug", "_facts", "_outlet", "_own_epoch", "_set", "_started_ns", "_tally", "before", "ended",
        "run",
    )  # fmt: skip

    def __init__(self, run: Run, outlet: Outlet, facts: NodeFacts) -> None:
        self.run = run
        self.before: current.Place | None = None
        self.ended = False
        self._outlet = outlet
        self._facts = facts
        # 0 is no process: until it is started, and once it has ended, the node takes no records of its own.
        self._own_epoch = 0
        self._started_ns = 0
        self._tally = Tally()
        self._set: Outcome | None = None
        self._debug: Group = {}

    @property
    def faults(self) -> Faults:
        """Where its hooks note what went wrong."""
        return self._outlet.faults

    @property
    def node_id(self) -> str:
        """The executor's name for the node."""
        return self._facts.node_id

    @property
    def attempt(self) -> int:
        """1 for the first try."""
        return self._facts.attempt

    @guarded
    def ai(self, **words: Unpack[AiWords]) -> None:
        """Add one model call. Without any counter its quality is `missing`: the use is not known, which is not zero.

        `reported_cost` is US dollars as the provider states them; a float is taken by its shortest text.
        """
        self._add("ai", ai_group(words, self.faults))

    @guarded
    def http(self, requests: int = 1, bytes_out: int = 0, bytes_in: int = 0, errors: int = 0) -> None:
        """Add HTTP use: bytes as they crossed the wire; errors are answers of 400 and above, and no answer."""
        words = {"requests": requests, "bytes_out": bytes_out, "bytes_in": bytes_in, "errors": errors}
        self._add("http", http_group(words, self.faults))

    @guarded
    def plugin(
        self, plugin_id: str, invocations: int = 1, units: Mapping[str, Decimal | int | float | str] | None = None
    ) -> None:
        """Add a plugin's use, in units that it names."""
        words = {"plugin_id": plugin_id, "invocations": invocations, "custom_units": units}
        self._add("plugin", plugin_group(words, self.faults))

    @guarded
    def code(self, cpu_us: int = 0, max_rss_bytes: int = 0) -> None:
        """Add a process's use: CPU microseconds add up, of the peak memory the largest stays."""
        self._add("code", code_group({"cpu_us": cpu_us, "max_rss_bytes": max_rss_bytes}, self.faults))

    @guarded
    def record(self, use: UseWords) -> None:
        """Add use that comes summed up, as with a callback's event."""
        for kind, group in groups_of(use, self.faults):
            self._add(kind, group)

    @guarded
    def report(self, use: UseWords) -> None:
        """Emit use at once, apart from any execution."""
        tally = Tally()
        for kind, group in groups_of(use, self.faults):
            tally.add(kind, group)
        used = tally.close()
        if used is not None and not used.empty:
            self._emit(Kind.USAGE, [{"executions": 0, **leaf} for leaf in used.leaves()])

    @guarded
    def breach(self, what: str, reason: str = "") -> None:
        """Count a breach of `memory` or `timeout`. It decides the outcome, unless an exception or `outcome` does."""
        self._add("breach", breach_group(what, reason))

    @guarded
    def outcome(self, outcome: Outcome | str) -> None:
        """Say how the attempt ended, over everything that would be concluded."""
        self._set = Outcome(outcome)

    @guarded
    def describe(self, **words: Unpack[DebugWords]) -> None:
        """Debug-only texts: redacted, cut to 500 characters, the first to go under pressure."""
        # A new dict, because another thread may be ending the node with the old one.
        self._debug = self._debug | accept.take(words, _DEBUG_RULES, self.faults, "node.describe")

    @guarded
    def start(self) -> None:
        """Begin the attempt and make it the current node. For callbacks; a block does it itself."""
        if self._started_ns:
            raise RuntimeError("a node attempt is started once")
        self._own_epoch = process.epoch()
        current.enter(self)
        self._started_ns = time.perf_counter_ns()

    @guarded
    def finish(self, error: BaseException | None = None, outcome: Outcome | str | None = None) -> None:
        """End the attempt and emit it. A second end is noted and does nothing; in a forked child it does nothing."""
        ended_ns = time.perf_counter_ns()
        owner, self._own_epoch, self.ended = self._own_epoch, 0, True
        current.leave(self)
        if owner not in (0, process.epoch()):
            return
        used = self._tally.close() if owner else None
        if used is None:
            raise RuntimeError("a node attempt ends once, after its start")
        own: Group = {"executions": 1, "duration_us": max(0, ended_ns - self._started_ns) // 1_000, **self._debug}
        own["outcome"] = ended_as = self._conclude(error, outcome, used)
        if error is not None and "error_message" not in own:
            own["error_message"] = accept.clean(message_of(error))
        first, *further = used.leaves()
        rest: Group = {"executions": 0, "outcome": ended_as}
        self._emit(Kind.NODE, [own | first, *(rest | leaf for leaf in further)])

    def _conclude(self, error: BaseException | None, outcome: Outcome | str | None, used: Used) -> Outcome:
        if self._set is not None:
            return self._set
        try:
            if outcome is not None:
                return Outcome(outcome)
        except ValueError as unknown:
            self.faults.note("node.finish", unknown)
        if error is not None:
            return outcome_of(error)
        if "timeout_breaches" in used.breaches:
            return Outcome.TIMEOUT
        return Outcome.ERROR if "memory_breaches" in used.breaches else Outcome.SUCCESS

    def _add(self, kind: str, group: Group) -> None:
        # The epoch is compared first: in a forked child, the tally's lock may be held by a thread that is not there.
        if self._own_epoch != process.epoch() or not self._tally.add(kind, group):
            late = group if kind == "breach" else {kind: group}
            self._emit(Kind.USAGE, [{"executions": 0, **late}])

    def _emit(self, kind: Kind, leaves: list[Group]) -> None:
        facts = self._facts._asdict()
        emissions = []
        for leaf in leaves:
            now_ns = time.time_ns()
            emissions.append(
                Emission(self.run.attribution, new_event_id(now_ns), now_ns, {"kind": kind, **facts, **leaf})
            )
        self._outlet.offer(emissions)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        self.finish(error)

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        self.finish(error)
