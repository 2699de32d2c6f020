"""A node attempt: it notes what it used and hands over exactly one emission, at its end.

The emission becomes one event with `executions = 1`, and further ones with `executions = 0` for further models and
plugins. What is recorded after the end (a stream that is read later), and what a forked child records on its parent's
node, is emitted at once as an event of kind usage: nothing is lost and nothing counted twice. A crash of the process
loses the nodes that were open in it.

This is the executor's own thread, so it does the least possible: words are kept as they were given and read by the
emitter's thread. What could change or be let go of meanwhile (mappings, exceptions) is read at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Never, Self, TypedDict, Unpack

from taximeter import accept, current, process
from taximeter.emission import Outlet, emission_of
from taximeter.faults import Faults, guarded
from taximeter.outcome import message_of, outcome_of
from taximeter.use import AiWords, Group, UseWords, breach_group, code_group, groups_of, plugin_group
from taximeter_schemas.words import Outcome

if TYPE_CHECKING:
    from taximeter.run import Run

# Beyond half as many notes (each takes two places) a node adds up what it has, so that a long one does not grow.
_NOTES = 1_024

# Beyond so many models, plugins and units, what they used is emitted before the node's end.
_PARTS = 256


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
    """The facts as far as they can be read, given by `NodeWords`. Never raises."""
    return NodeFacts(**accept.take(words, _FACT_RULES, faults, "run.node"))


class Node:
    """Made by `Run.node`. Its methods may be called from several threads; none raises, none waits."""

    __slots__ = (
        "__weakref__", "_debug", "_facts", "_fold_at", "_lock", "_notes", "_outlet", "_own_epoch", "_set",
        "_started_ns", "before", "ended", "run",
    )  # fmt: skip

    def __init__(self, run: Run, outlet: Outlet, facts: tuple[str, str, int, str]) -> None:
        self.run = run
        self.before: current.Place | None = None
        self.ended = False
        self._outlet = outlet
        self._facts = facts
        # 0 is no process: until it is started, and once it has ended, the node takes no records of its own.
        self._own_epoch = 0
        self._started_ns = 0
        self._lock = threading.RLock()
        self._notes: list[Any] = []  # kind, words, kind, words
        self._fold_at = _NOTES
        self._set: Outcome | None = None
        self._debug: Group | None = None

    @property
    def faults(self) -> Faults:
        """Where its hooks note what went wrong."""
        return self._outlet.faults

    @property
    def node_id(self) -> str:
        """The executor's name for the node."""
        return self._facts[0]

    @property
    def attempt(self) -> int:
        """1 for the first try."""
        return self._facts[2]

    def ai(self, *mistaken: Never, **words: Unpack[AiWords]) -> None:
        """Add one model call. Without any counter its quality is `missing`: the use is not known, which is not zero.

        `reported_cost` is US dollars as the provider states them; a float is taken by its shortest text. A call with a
        `response_id` that a tap saw too counts once.
        """
        # Not `guarded`: this is called for every model call, and nothing in it but the note can raise.
        try:
            if "units" in words:
                words["units"] = accept.as_it_is(words["units"])  # type: ignore[typeddict-item]  # read later, whatever it is
            self._note("ai", words)
            if mistaken:
                self.faults.note("Node.ai", "counters are given by name")
        except Exception as error:  # noqa: BLE001 - the promise: no hook ever raises into the host
            with suppress(Exception):
                self.faults.note("Node.ai", error)

    @guarded
    def ai_tapped(self, **words: Unpack[AiWords]) -> None:
        """Add one model call that was read from the provider's own bytes. For taps; it wins over all other records."""
        self._note("tapped", words)

    @guarded
    def ai_claimed(self, **words: Unpack[AiWords]) -> None:
        """Add one model call that a framework told of, unless a tap saw it: the same `response_id`, or, where one of
        them has none, the same model and counts in this node. For bridges.
        """
        self._note("claimed", words)

    @guarded
    def http(self, requests: int = 1, bytes_out: int = 0, bytes_in: int = 0, errors: int = 0) -> None:
        """Add HTTP use: bytes as they crossed the wire; errors are answers of 400 and above, and no answer."""
        self._note("http", {"requests": requests, "bytes_out": bytes_out, "bytes_in": bytes_in, "errors": errors})

    @guarded
    def plugin(
        self, plugin_id: str, invocations: int = 1, units: Mapping[str, Decimal | int | float | str] | None = None
    ) -> None:
        """Add a plugin's use, in units that it names."""
        words = {"plugin_id": plugin_id, "invocations": invocations, "custom_units": units}
        self._note("plugin", plugin_group(words, self.faults))

    @guarded
    def code(self, cpu_us: int = 0, max_rss_bytes: int = 0) -> None:
        """Add a process's use: CPU microseconds add up, of the peak memory the largest stays."""
        self._note("code", code_group({"cpu_us": cpu_us, "max_rss_bytes": max_rss_bytes}, self.faults))

    @guarded
    def record(self, use: UseWords) -> None:
        """Add use that comes summed up, as with a callback's event."""
        for kind, group in groups_of(use, self.faults):
            self._note(kind, group)

    @guarded
    def report(self, use: UseWords) -> None:
        """Emit use at once, apart from any execution."""
        self.reported(use)

    def reported(self, use: UseWords) -> bool:
        """As `report`: whether something was handed over. Raises what the words raise."""
        notes = [part for note in groups_of(use, self.faults) for part in note]
        return bool(notes) and self._offer_use(notes)

    @guarded
    def breach(self, what: str, reason: str = "") -> None:
        """Count a breach of `memory` or `timeout`. It decides the outcome, unless an exception or `outcome` does."""
        self._note("breach", breach_group(what, reason))

    @guarded
    def outcome(self, outcome: Outcome | str) -> None:
        """Say how the attempt ended, over everything that would be concluded."""
        self._set = Outcome(outcome)

    @guarded
    def describe(self, **words: Unpack[DebugWords]) -> None:
        """Debug-only texts: redacted, cut to 500 characters, the first to go under pressure. Metadata adds up."""
        given = accept.take(words, _DEBUG_RULES, self.faults, "node.describe")
        # A new dict, because another thread may be ending the node with the old one.
        known = self._debug or {}
        if "provider_metadata" in known and "provider_metadata" in given:
            given["provider_metadata"] = known["provider_metadata"] | given["provider_metadata"]
        self._debug = known | given

    @guarded
    def start(self) -> None:
        """Begin the attempt and make it the current node. For callbacks; a block does it itself."""
        self._start()

    @guarded
    def finish(self, error: BaseException | None = None, outcome: Outcome | str | None = None) -> None:
        """End the attempt and emit it. A second end is noted and does nothing; in a forked child it does nothing."""
        self._finish(error, outcome)

    def _start(self) -> None:
        if self._started_ns:
            raise RuntimeError("a node attempt is started once")
        self._own_epoch = process.epoch()
        current.enter(self)
        self._started_ns = time.perf_counter_ns()

    def _finish(self, error: BaseException | None, outcome: Outcome | str | None) -> None:
        ended_ns = time.perf_counter_ns()
        epoch, owner = process.epoch(), self._own_epoch
        # The epoch is compared first: in a forked child, the lock may be held by a thread that is not there.
        if owner == epoch:
            with self._lock:
                owner, self._own_epoch = self._own_epoch, 0
                notes, self._notes = self._notes, []
        self.ended = True
        current.leave(self)
        if owner != epoch:
            self._own_epoch = 0
            if owner:
                return
            raise RuntimeError("a node attempt ends once, after its start")
        debug = self._debug
        raised = None
        if error is not None:
            raised = outcome_of(error)
            if not debug or "error_message" not in debug:
                debug = {**(debug or {}), "error_message": accept.clean(message_of(error))}
        node_id, node_type, attempt, agent_name = self._facts
        duration_us = (ended_ns - self._started_ns) // 1_000
        self._outlet.offer(
            emission_of(
                (self.run.attribution, node_id, node_type, attempt, agent_name, time.time_ns(), notes, duration_us,
                 self._set, outcome, raised, debug)
            )
        )  # fmt: skip

    def _note(self, kind: str, words: Any) -> None:
        # The epoch is compared first: in a forked child, the lock may be held by a thread that is not there.
        if self._own_epoch == process.epoch():
            with self._lock:
                # Again, because the node may have ended while this thread waited.
                if self._own_epoch:
                    self._notes += (kind, words)
                    if len(self._notes) >= self._fold_at:
                        self._fold()
                    return
        self._offer_use([kind, words])

    def _fold(self) -> None:
        # Loaded here: `import taximeter` stays light, and few nodes get here.
        from taximeter.emitter.reading import fold

        # A signal handler that records meanwhile finds a list of its own.
        notes, self._notes = self._notes, []
        folded = fold(notes, self.faults)
        if folded[1].parts > _PARTS:
            self._offer_use(folded[:2])
            folded = folded[2:]
        self._notes = folded + self._notes
        self._fold_at = max(_NOTES, 2 * len(self._notes))

    def _offer_use(self, notes: list[Any]) -> bool:
        facts = (self.run.attribution, *self._facts)
        return self._outlet.offer(emission_of((*facts, time.time_ns(), notes, None, None, None, None, None)))

    def __enter__(self) -> Self:
        try:
            self._start()
        except Exception as error:  # noqa: BLE001 - the promise: no hook ever raises into the host
            with suppress(Exception):
                self.faults.note("Node.start", error)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._finish(error, None)
        except Exception as mistake:  # noqa: BLE001 - the promise: no hook ever raises into the host
            with suppress(Exception):
                self.faults.note("Node.finish", mistake)

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        self.finish(error)
