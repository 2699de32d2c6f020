"""An independent count of what the executor saw, to hold a meter's numbers against.

It reads the providers' usage itself, in the fewest words: input includes cache reads and writes, output includes
reasoning. Durations are left out; two runs of one seed tally alike except for `code`, which measures real processes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from decimal import Decimal
from threading import Lock
from typing import Any

from typing_extensions import override

from examples.dag_executor.callbacks import Callbacks, Outcome
from examples.dag_executor.results import AiCall, MemoryBreach, NodeError, NodeResult, NodeTimeout
from examples.dag_executor.workflow import NodeSpec, RunRequest


def tokens(usage: Mapping[str, Any] | None) -> Counter[str]:
    """Token counts of one provider's usage, whichever of the three shapes it has."""
    if usage is None:
        return Counter(missing=1)
    read = usage.get("cache_read_input_tokens") or 0
    written = usage.get("cache_creation_input_tokens") or 0
    prompt_details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    output_details = usage.get("completion_tokens_details") or usage.get("output_tokens_details") or {}
    return Counter(
        input_tokens=(usage.get("prompt_tokens") or usage.get("input_tokens") or 0) + read + written,
        output_tokens=usage.get("completion_tokens") or usage.get("output_tokens") or 0,
        cache_read_tokens=read + (prompt_details.get("cached_tokens") or 0),
        cache_write_tokens=written,
        reasoning_tokens=output_details.get("reasoning_tokens") or 0,
    )


class Tally(Callbacks):
    """Callbacks that count. `summary()` is plain JSON."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._runs: Counter[str] = Counter()
        self._attempts: dict[str, Counter[str]] = defaultdict(Counter)
        self._counts: dict[str, dict[str, Counter[str]]] = {name: defaultdict(Counter) for name in ("models", "users")}
        self._totals: dict[str, Counter[str]] = {name: Counter() for name in ("http", "code", "breaches")}
        self._plugins: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
        self._events = 0

    @override
    def on_node_completed(self, run: RunRequest, node: NodeSpec, attempt: int, result: NodeResult) -> None:
        self._count(run, node, "success", result)

    @override
    def on_node_error(self, run: RunRequest, node: NodeSpec, attempt: int, error: NodeError) -> None:
        self._count(run, node, "timeout" if isinstance(error, NodeTimeout) else "error", error.result)
        with self._lock:
            self._totals["breaches"]["timeout"] += isinstance(error, NodeTimeout)
            self._totals["breaches"]["memory"] += isinstance(error, MemoryBreach)

    @override
    def on_node_cancelled(self, run: RunRequest, node: NodeSpec, attempt: int, result: NodeResult) -> None:
        self._count(run, node, "cancelled", result)

    @override
    def on_run_finished(self, run: RunRequest, outcome: Outcome) -> None:
        with self._lock:
            self._runs[outcome] += 1

    def _count(self, run: RunRequest, node: NodeSpec, outcome: str, result: NodeResult) -> None:
        with self._lock:
            self._attempts["outcome"][outcome] += 1
            self._attempts["node_type"][node.type] += 1
            self._attempts["workflow"][run.workflow.id] += 1
            user = self._counts["users"][f"{run.account_id}/{run.user_id}"]
            user["attempts"] += 1
            self._events += max(1, len({(call.provider, call.model, call.usage is None) for call in result.ai}))
            for call in result.ai:
                self._count_call(user, call)
            if result.http:
                self._totals["http"].update(vars(result.http))
            if result.code:
                self._totals["code"]["cpu_us"] += result.code.cpu_us
                self._totals["code"]["processes"] += 1
            if result.plugin:
                plugin = self._plugins[result.plugin.plugin_id]
                plugin["invocations"] += result.plugin.invocations
                for unit, amount in result.plugin.units.items():
                    plugin[unit] += amount

    def _count_call(self, user: Counter[str], call: AiCall) -> None:
        counted = tokens(call.usage)
        self._counts["models"][f"{call.provider}/{call.model}"].update(counted + Counter(calls=1))
        user["tokens"] += counted["input_tokens"] + counted["output_tokens"]

    def summary(self) -> dict[str, Any]:
        """All counts so far; `events` is how many events a meter should make: one more for each further model."""
        with self._lock:
            attempts = {f"by_{name}": dict(sorted(counter.items())) for name, counter in self._attempts.items()}
            return {
                "runs": {"total": self._runs.total(), "by_outcome": dict(sorted(self._runs.items()))},
                "attempts": {"total": self._attempts["outcome"].total(), **attempts},
                "events": self._events,
                **{name: {key: dict(c) for key, c in sorted(by.items())} for name, by in self._counts.items()},
                **{name: dict(counter) for name, counter in self._totals.items()},
                "plugins": {
                    plugin: {unit: str(amount) for unit, amount in units.items()}
                    for plugin, units in sorted(self._plugins.items())
                },
            }
