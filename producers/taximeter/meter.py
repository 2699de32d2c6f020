"""The meter: made once per process, it gives runs and sends what their nodes used.

No method raises into the host, except `Misconfigured` where a meter is made. None waits, except `flush` and `close`,
and hooks for at most `block_ms` if the settings say so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack, cast

from taximeter import accept, current
from taximeter.attribution import RunOptions, RunWords, attribute
from taximeter.emission import Emission, Outlet
from taximeter.faults import Faults, guarded, guarded_else
from taximeter.holding import MOST
from taximeter.node import Node, NodeFacts, NodeWords, node_facts
from taximeter.run import Run
from taximeter.use import UseWords
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.uuid7 import new_event_id

if TYPE_CHECKING:
    from taximeter.emitter.counters import Counters
    from taximeter.emitter.transport import Transport
    from taximeter.settings import MeterSettings
    from taximeter_schemas.registry import Registry


_TRIGGER_RULE: Mapping[str, accept.Rule] = {"trigger": accept.text}


class UsageWords(RunWords, UseWords, NodeWords, total=False):
    """What `Meter.usage` takes: whose use, at which node, and what."""


class _Silence:
    """The outlet of a meter that is switched off."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults

    def offer(self, emission: Emission) -> bool:  # noqa: ARG002 - the protocol's
        """Nothing is taken."""
        return False


class Meter:
    """Give it settings and a transport, or let `from_environment` read both."""

    def __init__(
        self,
        settings: MeterSettings,
        transport: Transport,
        registry: Callable[[], Registry] | None = None,
        *,
        faults: Faults | None = None,
    ) -> None:
        """`registry` is called here and once more in every forked child; left out, the packaged schemas are it.

        Raises Misconfigured.
        """
        # Loaded here, in the thread that makes the meter: `import taximeter` stays light, and a fork cannot catch
        # the emitter's thread in the middle of an import.
        from taximeter.emitter.background import Emitter
        from taximeter.settings import checked
        from taximeter_schemas.registry import PackagedRegistry

        self._settings = checked(settings)
        self._faults = faults or Faults()
        self._emitter = Emitter(settings, transport, registry or PackagedRegistry, self._faults)
        self._outlet: Outlet = self._emitter if settings.enabled else _Silence(self._faults)
        self._keep = min(MOST, max(1, settings.queue_events // 4))
        self._defaults = {"account_id": settings.default_account_id, "context": settings.default_context}

    @classmethod
    def from_environment(cls) -> Self:
        """The meter that the environment describes. Kafka need not be there yet. Raises Misconfigured."""
        from pydantic import ValidationError

        from taximeter.emitter.kafka import KafkaTransport
        from taximeter.emitter.transport import MemoryTransport
        from taximeter.settings import MeterSettings, checked
        from taximeter_schemas.registry import open_registry
        from taximeter_schemas.settings import KafkaSettings, RegistrySettings, TopicSettings

        try:
            settings, kafka = checked(MeterSettings()), KafkaSettings()
            topic, registry = TopicSettings().events, RegistrySettings()
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
            raise Misconfigured(
                f"the environment does not describe a meter ({error.title}: {wrong})",
                mend=f"set the variables of {error.title}: TAXIMETER_METER_*, KAFKA_*, SCHEMA_REGISTRY_*",
            ) from None
        faults = Faults()
        if not settings.enabled:
            return cls(settings, MemoryTransport(), faults=faults)
        return cls(settings, KafkaTransport(kafka, topic, faults), lambda: open_registry(registry), faults=faults)

    @property
    def faults(self) -> Faults:
        """Where hooks note what went wrong."""
        return self._faults

    def _nameless(self) -> Run:
        return Run(self._outlet, self._attribution({}))

    @guarded_else(_nameless)
    def run(self, **words: Unpack[RunOptions]) -> Run:
        """A run, to be used as a (sync or async) context manager.

        Inside another run, `parent_run_id` is that run's id, and account, user, project, thread, transaction, context
        and tags are its as well, unless given. `run_id` is a new UUIDv7 unless given. `trigger` says what started it
        (webhook, schedule, ...) and becomes the tag of that name. With `deliver="at_end"` its events wait for its end;
        else each flows when its node ends.
        """
        given: dict[str, Any] = dict(words)
        deliver, trigger = given.pop("deliver", None), given.pop("trigger", None)
        attribution = self._attribution(given)
        started = accept.take({"trigger": trigger}, _TRIGGER_RULE, self._faults, "run")
        if started:
            attribution["tags"] = {**attribution.get("tags", {}), **started}
        if deliver not in (None, "progressively", "at_end"):
            self.faults.note("Meter.run", "events are delivered progressively or at_end")
        return Run(self._outlet, attribution, keep=self._keep if deliver == "at_end" else 0)

    def _attribution(self, words: Mapping[str, Any]) -> dict[str, Any]:
        around = current.current_run()
        enclosing = around.attribution if isinstance(around, Run) else {}
        attribution = dict(attribute(words, enclosing, self._defaults, self._faults))
        if not attribution.get("run_id"):
            attribution["run_id"] = str(new_event_id(time.time_ns()))
        return attribution

    @guarded
    def usage(self, **words: Unpack[UsageWords]) -> None:
        """Emit use apart from any execution: an event of kind usage with `executions = 0`.

        It belongs to the current run, or to the run that the words name. Groups are given as `ai={...}`, `http={...}`,
        `plugin={...}`, `code={...}`, by the fields of `MeterEvent`; `ai` and `plugin` also as lists.
        """
        self._usage(dict(words))

    def _no_usage(self) -> bool:
        return False

    @guarded_else(_no_usage)
    def try_usage(self, **words: Unpack[UsageWords]) -> bool:
        """As `usage`: whether the event is in the emitter's queue, from where it is sent or, if need be, spooled."""
        return self._usage(dict(words))

    async def charge_tokens(
        self, flow_id: str, user_id: str, input_tokens: int, output_tokens: int, model: str, ai_system: str
    ) -> bool:  # fmt: skip
        """Charge token counts that a workflow knows already, to its run. Whether they are in the emitter's queue.

        Input tokens include cache reads and writes, output tokens reasoning. Never raises; never waits, but for the
        bound that the settings give to a full queue.
        """
        from taximeter.bridges.charge import TokenCharge, charge

        return charge(self, TokenCharge(flow_id, user_id, input_tokens, output_tokens, model, ai_system))

    def _usage(self, given: dict[str, Any]) -> bool:
        use = {kind: given.pop(kind) for kind in UseWords.__annotations__ if kind in given}
        facts = {name: given.pop(name) for name in NodeFacts._fields if name in given}
        around = current.current_run()
        if isinstance(around, Run) and given.get("run_id") in (None, around.run_id):
            base = around.attribution
        else:
            base = self._defaults | {"run_id": ""}
        run = Run(self._outlet, attribute(given, {}, base, self._faults))
        return Node(run, self._outlet, node_facts(facts, self._faults)).reported(cast(UseWords, use))

    def counters(self) -> Counters:
        """What was counted so far in this process, as one frozen snapshot."""
        return self._emitter.counters()

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until all events so far are acknowledged, spooled or dropped. False if `timeout` seconds are over."""
        return self._emitter.flush(timeout)

    def close(self, timeout: float | None = None) -> bool:
        """Send the last events, waiting at most `timeout` seconds (the settings' bound unless given). True if none was
        lost. Later hooks work and their events are counted as dropped. Closing twice is harmless.
        """
        return self._emitter.close(self._settings.close_timeout_seconds if timeout is None else timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        import asyncio

        # Closing may wait for the broker; the event loop must not.
        await asyncio.to_thread(self.close)
