"""`GET /v1/export`: usage, rollups and invoices as files, streamed."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from taximeter_consumers.api.access import Caller, Using, the_caller
from taximeter_consumers.api.keys import Scope
from taximeter_consumers.api.models.export import Dataset, ExportQuery
from taximeter_consumers.api.problem_docs import refusals
from taximeter_consumers.api.reads.export import Export, blocks
from taximeter_consumers.api.reads.export_columns import FORMATS
from taximeter_consumers.api.reads.usage_filter import UsageAsked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from taximeter_consumers.api.metrics import Metrics

router = APIRouter(prefix="/v1", tags=["export"])
_EQUAL: Final = ("user_id", "workflow_id", "provider", "model", "context", "transaction_id", "run_id")
_FORMS: Final = {
    media.split(";")[0]: {"schema": {"type": "string", "format": "binary"}} for _, media in FORMATS.values()
}


@router.get(
    "/export",
    operation_id="export",
    summary="Usage, rollups or invoices as a file",
    response_class=StreamingResponse,
    responses={**refusals("not-found"), 200: {"description": "The file", "content": _FORMS}},
)
def export(
    chosen: Annotated[ExportQuery, Query()], caller: Annotated[Caller, Depends(the_caller)], services: Using
) -> StreamingResponse:
    """A file of any size, sent while it is read. Columns are those of the tables, in snake_case; amounts are exact.

    In CSV a text that a spreadsheet would take for a formula has an apostrophe before it. Usage and rollups need the
    scope read, invoices need billing. A connection that breaks before its end has no whole file.
    """
    caller.require(Scope.BILLING if chosen.dataset is Dataset.INVOICES else Scope.READ)
    account = caller.account(chosen.account_id)
    given = {name: str(value) for name in _EQUAL if (value := getattr(chosen, name)) is not None}
    asked = UsageAsked(
        given | ({"account_id": account} if account else {}), chosen.external_id, chosen.since, chosen.until
    )
    book = services.books.current(services.reads.get()).book
    sent = blocks(services.exports.get(), Export(chosen.dataset, chosen.format, asked, chosen.rollup), book)
    # The first block now: what is refused then is still an answer.
    first = next(sent, b"")
    name = chosen.rollup.value if chosen.dataset is Dataset.ROLLUPS else chosen.dataset.value
    return StreamingResponse(
        _counted(chain((first,), sent), services.metrics),
        media_type=FORMATS[chosen.format][1],
        headers={"Content-Disposition": f'attachment; filename="{name}.{chosen.format.value}"'},
    )


def _counted(sent: Iterable[bytes], metrics: Metrics) -> Iterator[bytes]:
    for block in sent:
        metrics.exported_bytes.inc(len(block))
        yield block
