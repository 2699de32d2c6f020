"""`GET /api/metering/runs/{runId}`: one run as a tree."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from taximeter_consumers.api.access import Reader, Using
from taximeter_consumers.api.inputs import Name
from taximeter_consumers.api.models.runs import RunQuery, RunTree
from taximeter_consumers.api.problem_docs import refusals
from taximeter_consumers.api.problems import Problem, not_found
from taximeter_consumers.api.reads.run_tree import roots, tree_of
from taximeter_consumers.api.run_view import tree_view

router = APIRouter(prefix="/api/metering", tags=["metering"])


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
    found = roots(clickhouse, run_id, caller.account(chosen.account_id))
    if not found:
        raise not_found("run")
    if len(found) > 1:
        raise Problem("ambiguous", "several accounts have a run of this id: name one with accountId")
    return tree_view(tree_of(clickhouse, found[0], services.books, services.workers, with_attempts=chosen.attempts))
