"""`GET /api/metering/runs` and `GET /api/metering/runs/{runId}`: runs as a list, and one as a tree."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from taximeter_consumers.api.access import Reader, Using
from taximeter_consumers.api.inputs import Name
from taximeter_consumers.api.models.measures import Cost, Outcomes, Spent, Usage
from taximeter_consumers.api.models.run_list import ListedRun, RunsPage, RunsQuery
from taximeter_consumers.api.models.runs import RunQuery, RunTree
from taximeter_consumers.api.problem_docs import refusals
from taximeter_consumers.api.problems import Problem, not_found
from taximeter_consumers.api.reads.run_list import RunsAsked, runs_page
from taximeter_consumers.api.reads.run_tree import look_ahead, roots, tree_of
from taximeter_consumers.api.run_view import tree_view

router = APIRouter(prefix="/api/metering", tags=["metering"])
_FILTERS = ("user_id", "workflow_id", "context")


@router.get("/runs", operation_id="listRuns", summary="Runs, page by page", responses=refusals("not-found"))
def list_runs(chosen: Annotated[RunsQuery, Query()], caller: Reader, services: Using) -> RunsPage:
    """Runs with their cost and use, the latest or the dearest first; sub-runs stand beside the runs that began them.

    Numbers are those of the last tick of the rollups, seconds old. Where costs change meanwhile, a run may change its
    place between two pages in the order of cost.
    """
    given = {name: value for name in _FILTERS if (value := getattr(chosen, name)) is not None}
    asked = RunsAsked(caller.account(chosen.account_id), given, chosen.since, chosen.until, chosen.order)
    rows, following = runs_page(services.reads.get(), asked, chosen.cursor, chosen.limit)
    return RunsPage(runs=[_listed(row) for row in rows], next_cursor=following)


@router.get(
    "/runs/{runId}",
    operation_id="readRun",
    summary="One run as a tree",
    responses=refusals("not-found", "ambiguous"),
)
def read_run(
    run_id: Annotated[Name, Path(alias="runId", description="As the executor named it", examples=["nightly-42"])],
    chosen: Annotated[RunQuery, Query()],
    caller: Reader,
    services: Using,
) -> RunTree:
    """The run with its sub-runs, nodes and attempts: what each used, what it cost, how it ended, how far that is known.

    Numbers are those of the last tick of the rollups, seconds old. At most 500 runs, 5,000 nodes and 10,000 attempts
    are shown; `isComplete` says whether that was all.
    """
    clickhouse = services.reads.get()
    account = caller.account(chosen.account_id)
    ahead = look_ahead(clickhouse, run_id, account, services.workers) if account else None
    found = roots(clickhouse, run_id, account)
    if not found:
        raise not_found("run")
    if len(found) > 1:
        raise Problem("ambiguous", "several accounts have a run of this id: name one with accountId")
    tree = tree_of(clickhouse, found[0], services.books, services.workers, with_attempts=chosen.attempts, ahead=ahead)
    return tree_view(tree)


def _listed(row: dict[str, Any]) -> ListedRun:
    parts = {
        "outcomes": Outcomes.model_validate(row),
        "usage": Usage.model_validate(row),
        "cost": Cost.model_validate(row),
        "spent": Spent.model_validate(row),
    }
    return ListedRun.model_validate({**row, **parts})
