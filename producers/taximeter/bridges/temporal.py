"""Temporal: an interceptor that makes each activity attempt a node of its workflow's run, and an activity that charges.

    Worker(client, ..., interceptors=[TaximeterInterceptor(meter)], activities=[charge_tokens_activity(meter), ...])

Nothing of it runs in workflow code, which so stays deterministic: workflows are not intercepted. A run is one workflow
execution, `<workflow id>/<run id>`; its workflow is the workflow's type. A worker that is killed loses the attempts it
was at; the server starts them again as the next attempt. An attempt that was done but not acknowledged is done, and
metered, twice, because it was used twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from taximeter.attribution import RunWords, Subject
from taximeter.bridges.charge import TokenCharge, charge
from taximeter.meter import Meter
from taximeter_schemas.words import Outcome

SubjectOf = Callable[[activity.Info], Subject]


class TaximeterInterceptor(Interceptor):
    """`subject` says from an activity's info who is billed; left out, the meter's defaults are."""

    def __init__(self, meter: Meter, subject: SubjectOf | None = None) -> None:
        self._meter = meter
        self._subject = subject

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - theirs
        """Called by the worker for each activity."""
        return _Metered(next, self._meter, self._subject)


class _Metered(ActivityInboundInterceptor):
    def __init__(self, inner: ActivityInboundInterceptor, meter: Meter, subject: SubjectOf | None) -> None:
        super().__init__(inner)
        self._meter = meter
        self._subject = subject

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - theirs
        info = activity.info()
        async with self._meter.run(**self._words(info)) as run:
            node = run.node(info.activity_type, node_type="activity", attempt=info.attempt)
            async with node:
                try:
                    return await super().execute_activity(input)
                except BaseException as error:
                    # The activity says that somebody else will complete it: no failure, and no end that we see.
                    if type(error).__name__ == "_CompleteAsyncError":
                        node.outcome(Outcome.UNKNOWN)
                    raise

    def _words(self, info: activity.Info) -> RunWords:
        words: RunWords = {}
        if self._subject is not None:
            try:
                words = {**words, **self._subject(info)}
            except Exception as error:  # noqa: BLE001 - the promise: no bridge ever raises into the host
                self._meter.faults.note("TaximeterInterceptor.subject", error)
        words["run_id"] = run_id_of(info)
        words.setdefault("workflow_id", info.workflow_type or info.activity_type)
        return words


def run_id_of(info: activity.Info) -> str:
    """The run that an activity belongs to: one per workflow execution; of its own if no workflow started it."""
    if info.workflow_id is None:
        return f"{info.activity_id}/{info.activity_run_id or ''}"
    return f"{info.workflow_id}/{info.workflow_run_id or ''}"


@dataclass(frozen=True, slots=True)
class ChargeTokens:
    """The input of the activity `charge_tokens`. Without a `flow_id` it is charged to the workflow's own run."""

    user_id: str
    input_tokens: int
    output_tokens: int
    model: str
    ai_system: str
    flow_id: str = ""


def charge_tokens_activity(meter: Meter) -> Callable[[ChargeTokens], Awaitable[bool]]:
    """The activity `charge_tokens` for a worker. It answers whether the meter took the charge; it never fails."""

    @activity.defn(name="charge_tokens")
    async def charge_tokens(what: ChargeTokens) -> bool:
        flow_id = what.flow_id or run_id_of(activity.info())
        return charge(
            meter,
            TokenCharge(flow_id, what.user_id, what.input_tokens, what.output_tokens, what.model, what.ai_system),
        )

    return charge_tokens
