"""`taximeter demo`: the whole pipeline on real servers, in a minute."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taximeter_infra.cli.failures import ExitCode, told_plainly
from taximeter_infra.cli.panels import Panel

if TYPE_CHECKING:
    from rich.console import Console

    from taximeter_infra.demo.pipeline import DemoPlan, DemoResult


@told_plainly
def demo(
    runs: Annotated[int, typer.Option(min=1, max=10_000, help="How many workflow runs")] = 60,
    seed: Annotated[int, typer.Option(help="The same seed gives the same runs")] = 1,
    keep: Annotated[
        bool, typer.Option("--keep", help="Then serve the dashboard until Ctrl-C; with --json: leave the stack up")
    ] = False,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where data and logs go", show_default="a temporary directory")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables")] = False,
) -> None:
    """Run an instrumented executor against real servers and show what it cost.

    Starts a broker, ClickHouse, the sink and the aggregator; runs the example
    executor over workflows with AI, HTTP, code and plugin nodes; waits for
    the rollups; prints them; and checks them against the executor's own
    count. Exit code 3 when a check does not hold.

    With --keep everything goes on after the checks, with three weeks of
    simulated use, quotas and the API: open the dashboard at the address that
    is printed. Ctrl-C ends all of it; the data stay in the data directory, and
    `taximeter up` goes on with them. With --keep --json the stack stays up as
    a daemon, until `taximeter down`.

    \b
    Examples:
      taximeter demo
      taximeter demo --runs 200 --seed 7 --json
      taximeter demo --keep
    """
    from uuid import uuid4

    from taximeter_infra.demo.executor import Workload, examples_root
    from taximeter_infra.demo.pipeline import DemoPlan
    from taximeter_infra.demo.show import as_report, show_result

    examples_root()
    workload = Workload(runs, seed, f"demo-{uuid4().hex[:8]}")
    plan = DemoPlan(workload, keep, keep and as_json, data_dir)
    with ExitStack() as held:
        result = _with_progress(plan, held)
        if as_json:
            from taximeter_infra.cli.report_view import print_json

            print_json(as_report(result))
        else:
            show_result(result)
        failed = not all(check.holds for check in result.checks)
        if keep and not as_json and not failed:
            _stay(plan, result, held)
    if failed:
        raise typer.Exit(ExitCode.CHECK_FAILED)


def _stay(plan: DemoPlan, result: DemoResult, held: ExitStack) -> None:
    """Serves the dashboard until SIGTERM or Ctrl-C."""
    from taximeter_infra.demo.services import Starter
    from taximeter_infra.demo.show import show_stay
    from taximeter_infra.demo.staying import stay
    from taximeter_infra.signals import stop_on_signals

    stop = stop_on_signals()
    typer.echo("\nstarting the quota service and the API", err=True)
    show_stay(result.addresses, stay(Starter(held, result.addresses), plan.sink_group, plan.workload.seed))
    while not stop.wait(1.0):
        pass


def _with_progress(plan: DemoPlan, held: ExitStack) -> DemoResult:
    """Runs the demo with a progress display on stderr, so that --json keeps stdout to itself."""
    from rich.console import Console

    from taximeter_infra.demo.pipeline import Progress, run_demo

    console = Console(stderr=True)
    if not console.is_terminal:
        return run_demo(plan, _plain_progress(console, plan.workload.runs), held)
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        task = bars.add_task("", total=plan.workload.runs)

        def phase(name: str) -> None:
            bars.update(task, description=name)

        def run_finished(_: dict[str, Any]) -> None:
            bars.advance(task)

        return run_demo(plan, Progress(phase, run_finished), held)


def _plain_progress(console: Console, runs: int) -> Any:
    from taximeter_infra.demo.pipeline import Progress

    done = 0

    def run_finished(_: dict[str, Any]) -> None:
        nonlocal done
        done += 1
        if done % 20 == 0 or done == runs:
            console.print(f"  {done} of {runs} runs", highlight=False)

    return Progress(lambda name: console.print(name, highlight=False), run_finished)


def register(app: typer.Typer) -> None:
    """Put this command on the app."""
    app.command(
        short_help="Run it all once on real servers, show what it cost, check every number.",
        rich_help_panel=Panel.STACK,
    )(demo)
