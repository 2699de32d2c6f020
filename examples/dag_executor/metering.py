"""The only file of this executor that knows Taximeter: it hands the executor's callbacks to `taximeter.NodeHooks`.

Failed and cancelled attempts are reported with what they used until then, because they cost money too.
"""

from __future__ import annotations

from typing_extensions import override

from examples.dag_executor.callbacks import Callbacks, Outcome
from examples.dag_executor.results import MemoryBreach, NodeError, NodeResult, NodeTimeout
from examples.dag_executor.workflow import NodeSpec, RunRequest
from taximeter import Meter, NodeHooks
from taximeter.usage import from_anthropic, from_openai


class Metering(Callbacks):
    """Callbacks that meter every attempt of every node."""

    def __init__(self, meter: Meter) -> None:
        self._hooks = NodeHooks(meter)

    @override
    def on_run_started(self, run: RunRequest) -> None:
        self._hooks.on_run_started(
            run.run_id,
            account_id=run.account_id,
            user_id=run.user_id,
            project_id=run.project_id,
            workflow_id=run.workflow.id,
            tags=run.tags,
        )

    @override
    def on_node_started(self, run: RunRequest, node: NodeSpec, attempt: int) -> None:
        self._hooks.on_node_started(run.run_id, node.id, node_type=node.type, attempt=attempt)

    @override
    def on_node_completed(self, run: RunRequest, node: NodeSpec, attempt: int, result: NodeResult) -> None:
        self._record(run, node, attempt, result)
        self._hooks.on_node_completed(run.run_id, node.id, attempt=attempt)

    @override
    def on_node_error(self, run: RunRequest, node: NodeSpec, attempt: int, error: NodeError) -> None:
        self._record(run, node, attempt, error.result)
        if isinstance(error, NodeTimeout | MemoryBreach):
            what = "timeout" if isinstance(error, NodeTimeout) else "memory"
            self._hooks.node(run.run_id, node.id, attempt=attempt).breach(what, reason=str(error))
        self._hooks.on_node_error(run.run_id, node.id, error, attempt=attempt)

    @override
    def on_node_cancelled(self, run: RunRequest, node: NodeSpec, attempt: int, result: NodeResult) -> None:
        self._record(run, node, attempt, result)
        self._hooks.on_node_cancelled(run.run_id, node.id, attempt=attempt)

    @override
    def on_run_finished(self, run: RunRequest, outcome: Outcome) -> None:
        self._hooks.on_run_finished(run.run_id)

    def _record(self, run: RunRequest, node: NodeSpec, attempt: int, result: NodeResult) -> None:
        metered = self._hooks.node(run.run_id, node.id, attempt=attempt)
        for call in result.ai:
            counters = (from_anthropic if call.provider == "anthropic" else from_openai)(call.usage)
            counters["response_id"] = call.response_id
            metered.ai(**counters, provider=call.provider, model=call.model)
        if result.http:
            metered.http(**vars(result.http))
        if result.plugin:
            metered.plugin(result.plugin.plugin_id, invocations=result.plugin.invocations, units=result.plugin.units)
        if result.code:
            metered.code(cpu_us=result.code.cpu_us, max_rss_bytes=result.code.max_rss_bytes)
