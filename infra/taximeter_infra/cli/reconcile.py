"""`taximeter reconcile`: what a provider billed against what was metered."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taximeter_infra.cli.failures import ExitCode, told_plainly
from taximeter_infra.cli.moments import parse_moment
from taximeter_infra.cli.panels import Panel
from taximeter_infra.cli.reach import open_clickhouse

if TYPE_CHECKING:
    from taximeter_consumers.reconcile import Bill

# Every event of the billed days is priced anew.
_QUERY_SECONDS = 1_800


@told_plainly
def reconcile(
    provider_bill: Annotated[Path, typer.Option(metavar="FILE", help="The CSV that the provider exports")],
    provider: Annotated[
        str | None, typer.Option(help="Whose bill it is", show_default="as the file's columns tell, else all providers")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="DAY", help="From this day (UTC) on", show_default="the bill's first"),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="DAY", help="Before this day (UTC)", show_default="behind its last")
    ] = None,
    tolerance: Annotated[
        str, typer.Option(metavar="SHARE", help="How much may differ, of what was billed: 0.5% or 0.005")
    ] = "0.5%",
    top: Annotated[int, typer.Option(min=0, max=1_000, help="So many candidate runs for each line")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="JSON with exact numbers instead of a table")] = False,
) -> None:
    """Compare a provider's bill with what was metered, by day (UTC) and model.

    What is between them is attributed to candidates: calls whose use or price
    is not known, that were estimated, failed, timed out or were cancelled, and
    corrections. Exit code 0 within the tolerance, 3 beyond it.

    \b
    Examples:
      taximeter reconcile --provider-bill openai-costs.csv
      taximeter reconcile --provider-bill bill.csv --provider mistral --tolerance 1% --json
      taximeter reconcile --provider-bill claude.csv --from 2026-11-01 --to 2026-12-01
    """
    from taximeter_consumers.reconcile import Agreement, reconcile
    from taximeter_infra.cli.context import clickhouse_settings
    from taximeter_infra.cli.reconcile_view import as_object, show
    from taximeter_infra.cli.report_view import print_json

    agreement = Agreement(_share(tolerance), top)
    first, behind = _day(since, "--from"), _day(until, "--to")
    bill = _bill(provider_bill, provider)
    with closing(open_clickhouse(clickhouse_settings(), timeout_seconds=_QUERY_SECONDS)) as clickhouse:
        found = reconcile(clickhouse, bill, agreement, first, behind)
    if as_json:
        print_json(as_object(found, bill))
    else:
        show(found, bill)
    if not found.agrees:
        raise typer.Exit(ExitCode.CHECK_FAILED)


def register(app: typer.Typer) -> None:
    """Put this command on the app."""
    app.command(short_help="Compare a provider's bill with what was metered.", rich_help_panel=Panel.MONEY)(reconcile)


def _bill(path: Path, provider: str | None) -> Bill:
    from taximeter_consumers.reconcile import read_bill
    from taximeter_schemas.errors import Misconfigured

    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            return read_bill(text, provider)
    except OSError as error:
        raise Misconfigured(f"the bill cannot be read: {error.strerror}", mend=f"look at {path}") from error
    except UnicodeDecodeError as error:
        raise Misconfigured("the bill is not text in UTF-8", mend="export it as CSV, in UTF-8") from error


def _share(text: str) -> Decimal:
    number, percent, rest = text.strip().partition("%")
    try:
        share = Decimal(number) / (100 if percent else 1)
    except InvalidOperation:
        share = Decimal(-1)
    if rest or not share.is_finite() or share < 0:
        raise typer.BadParameter(f"{text!r} is no share like 0.5% or 0.005", param_hint="--tolerance")
    return share


def _day(text: str | None, option: str) -> date | None:
    return None if text is None else parse_moment(text, datetime.now(UTC), option).date()
