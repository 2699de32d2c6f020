"""`taximeter sql`: one read-only query."""

from __future__ import annotations

import csv
import json
import sys
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taximeter_infra.cli.failures import told_plainly

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

    \b
    Examples:
      taximeter sql "SELECT outcome, count() FROM events GROUP BY outcome"
      taximeter sql --csv "SELECT * FROM model_costs" > model_costs.csv
      echo "SELECT sum(cost_usd) AS usd FROM run_costs" | taximeter sql --json -
    """
    from taximeter_consumers.queries.adhoc import ask
    from taximeter_infra.cli import context

    if as_json and as_csv:
        raise typer.BadParameter("--json and --csv exclude each other")
    text = sys.stdin.read() if query == "-" else query
    most = limit if as_json or as_csv else limit or TABLE_ROWS
    # One row more than shown, to know whether there are more.
    with ask(context.analyst_settings(), text, None if most is None else most + 1) as answer:
        rows = answer.rows if most is None else islice(answer.rows, most)
        if as_json:
            _print_json(answer.names, rows)
        elif as_csv:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(answer.names)
            writer.writerows([_cell(value) for value in row] for row in rows)
        else:
            _print_table(answer, rows)
        if most is not None and next(answer.rows, None) is not None:
            typer.echo(f"only the first {most} rows are shown; --limit shows more", err=True)


def register(app: typer.Typer) -> None:
    """Put this command on the app."""
    app.command()(sql)


def _print_json(names: list[str], rows: Iterable[list[Any]]) -> None:
    separator = "["
    for row in rows:
        typer.echo(f"{separator}{json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False)}", nl=False)
        separator = ",\n "
    typer.echo("[]" if separator == "[" else "]")


def _print_table(answer: Answer, rows: Iterable[list[Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, kind in zip(answer.names, answer.types, strict=True):
        numeric = kind.removeprefix("Nullable(").startswith(("Int", "UInt", "Float", "Decimal"))
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    Console().print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
