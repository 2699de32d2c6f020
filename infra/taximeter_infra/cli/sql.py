"""`taximeter sql`: one read-only query."""

from __future__ import annotations

import csv
import json
import sys
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taximeter_infra.cli.failures import told_plainly
from taximeter_infra.cli.panels import Panel
from taximeter_infra.cli.reach import open_clickhouse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from taximeter_consumers.queries.adhoc import Answer

TABLE_ROWS = 200


@told_plainly
def sql(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="SQL, or - to read it from standard input")],
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most as many rows", show_default="200 in a table, all otherwise")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON array of objects; decimals as strings")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV with a header")] = False,
) -> None:
    """Run one query that can only read, as the analyst where the local stack is used.

    Ask the views events, run_costs, node_costs, model_costs,
    usage_by_subject and charges; by day account_days, user_days,
    project_days, workflow_days, context_days and quality_days; and
    workflow_costs. DESCRIBE shows their columns. Beside a sum of cost_usd ask
    for unpriced_calls, unmeasured_calls and unpriced_plugins: they are not in
    it.

    \b
    Examples:
      taximeter sql "DESCRIBE run_costs"
      taximeter sql "SELECT outcome, count() FROM events GROUP BY outcome"
      taximeter sql "SELECT day, cost_usd, cost_source FROM account_days WHERE account_id = 'acme'"
      taximeter sql --csv "SELECT * FROM model_costs" > model_costs.csv
      echo "SELECT sum(cost_usd) AS usd FROM run_costs" | taximeter sql --json -
    """
    from taximeter_consumers.queries.adhoc import ask
    from taximeter_infra.cli import context

    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv exclude each other")
    text = sys.stdin.read() if query == "-" else query
    most = limit if as_json or as_csv else limit or TABLE_ROWS
    settings = context.analyst_settings()
    # What is wrong with the way there is told before anything is said about the query.
    open_clickhouse(settings).close()
    # One row more than shown, to know whether there are more.
    with ask(settings, text, None if most is None else most + 1) as answer:
        rows = answer.rows if most is None else islice(answer.rows, most)
        if as_json:
            _print_json(answer.names, rows)
        elif as_csv:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(answer.names)
            writer.writerows([_cell(value) for value in row] for row in rows)
        else:
            # Five of the columns that ClickHouse describes a view by are always empty.
            _print_table(answer, rows, describes=text.lstrip()[:4].upper() == "DESC")
        if most is not None and next(answer.rows, None) is not None:
            typer.echo(f"only the first {most} rows are shown; --limit shows more", err=True)


def register(app: typer.Typer) -> None:
    """Put this command on the app."""
    app.command(short_help="Run one query that can only read.", rich_help_panel=Panel.ANSWERS)(sql)


def _print_json(names: list[str], rows: Iterable[list[Any]]) -> None:
    separator = "["
    for row in rows:
        typer.echo(f"{separator}{json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False)}", nl=False)
        separator = ",\n "
    typer.echo("[]" if separator == "[" else "]")


def _print_table(answer: Answer, rows: Iterable[list[Any]], *, describes: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    from taximeter_infra.cli.report_view import natural_width, wide_console

    cells = [[_cell(value) for value in row] for row in rows]
    kept = range(len(answer.names)) if not describes else _filled(cells)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index in kept:
        numeric = answer.types[index].removeprefix("Nullable(").startswith(("Int", "UInt", "Float", "Decimal"))
        table.add_column(Text(answer.names[index]), justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        table.add_row(*(Text(row[index]) for index in kept))
    console = wide_console()
    if natural_width(table, console) <= console.width:
        console.print(table)
    else:
        _print_upright(answer.names, cells)


def _print_upright(names: list[str], cells: list[list[str]]) -> None:
    """One line for each value: what is wider than the terminal would be folded until nobody can read it."""
    broad = max(map(len, names))
    for number, row in enumerate(cells, start=1):
        typer.echo(f"row {number}")
        for name, cell in zip(names, row, strict=True):
            typer.echo(f"  {name:<{broad}}  {cell}")


def _filled(cells: list[list[str]]) -> list[int]:
    """The columns in which something stands."""
    return [index for index, column in enumerate(zip(*cells, strict=True)) if any(column)]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
