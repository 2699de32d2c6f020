"""`python -m examples.dag_executor`: run the demo's workload, metered or not, and say what was seen.

On stdout, JSON a line: one for each run as it finishes, and last a summary with an independent tally. An interrupt or
SIGTERM cancels the runs, closes servers and meter, and exits with 130.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from threading import Lock
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from examples.dag_executor.callbacks import Callbacks, Outcome
from examples.dag_executor.tally import Tally
from examples.dag_executor.workflow import RunRequest
from examples.dag_executor.workload import plan, work
from examples.dag_executor.world import World

if TYPE_CHECKING:
    from taximeter.emitter.counters import Counters

INTERRUPTED = 130


class Progress(Tally):
    """The tally, which also prints a line for each finished run."""

    def __init__(self, runs: int) -> None:
        super().__init__()
        self._expected = runs
        self._finished = 0
        self._printing = Lock()

    @override
    def on_run_finished(self, run: RunRequest, outcome: Outcome) -> None:
        super().on_run_finished(run, outcome)
        with self._printing:
            self._finished += 1
            done = {"done": self._finished, "of": self._expected}
            about = {"run_id": run.run_id, "workflow": run.workflow.id, "outcome": outcome}
            print_line({"event": "run_finished", **about, **done})


def print_line(value: Mapping[str, Any]) -> None:
    print(json.dumps(value), flush=True)


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.dag_executor", description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same runs")
    parser.add_argument("--runs", type=int, default=60, help="how many; twelve hold every kind of trouble once")
    parser.add_argument("--run-prefix", default="demo", help="how run ids begin")
    parser.add_argument("--metered", action="store_true", help="meter the runs as the TAXIMETER_* environment says")
    return parser.parse_args(argv)


def emitted(counters: Counters) -> dict[str, Any]:
    """The part of the meter's counters that tells whether all events arrived."""
    return {
        "accepted": counters.accepted,
        "acknowledged": counters.acknowledged,
        "dropped": sum(counters.dropped.values()),
        "lost_at_exit": counters.lost_at_exit,
        "hook_errors": counters.hook_errors,
    }


def main(argv: list[str] | None = None) -> int:
    wanted = arguments(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    tally = Progress(wanted.runs)
    callbacks: list[Callbacks] = [tally]
    opened: AbstractContextManager[Any] = nullcontext()
    if wanted.metered:
        from examples.dag_executor.metering import Metering
        from taximeter import Meter

        opened = meter = Meter.from_environment()
        callbacks.append(Metering(meter))
    try:
        with opened, World(wanted.seed) as world:
            work(plan(wanted.seed, wanted.runs, wanted.run_prefix), world, callbacks, wanted.seed)
    except KeyboardInterrupt:
        print_line({"event": "interrupted"})
        return INTERRUPTED
    counted = tally.summary()
    served = {"refused": world.provider.refused, "models": {m: dict(c) for m, c in world.provider.served.items()}}
    summary = {"event": "summary", "seed": wanted.seed, "runs": counted["runs"]["total"]}
    summary |= {"nodes": counted["attempts"]["total"], "tally": counted, "provider_served": served}
    summary["events_emitted"] = emitted(meter.counters()) if wanted.metered else None
    print_line(summary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
