"""`taximeter`, the command line: every command registers itself here. What a command needs it imports when it runs."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from taximeter_infra.cli import (
    aggregate,
    api,
    archive,
    audit,
    billing,
    demo,
    dlq,
    erase,
    estimate,
    invoice,
    keys,
    migrate,
    prices,
    quota,
    reconcile,
    replay,
    report,
    reprice,
    retention,
    schema,
    simulate,
    sink,
    spool,
    sql,
    stack,
    tail,
    topics,
)

app = typer.Typer(
    name="taximeter",
    help="A meter for AI workflow runs: what every node used, what it cost, counted once.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _say_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"taximeter {version('taximeter')}")
        raise typer.Exit


@app.callback()
def taximeter(
    _version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version")
    ] = False,
) -> None:
    """See the commands' own help: `taximeter COMMAND --help`."""
    # Its complaints about lost connections would stand between our lines on standard error.
    logging.getLogger("clickhouse_connect").addHandler(logging.NullHandler())


# The order in which a newcomer needs them.
for module in (
    demo,
    stack,
    topics,
    migrate,
    schema,
    simulate,
    sink,
    aggregate,
    spool,
    report,
    sql,
    api,
    keys,
    tail,
    replay,
    archive,
    dlq,
    quota,
    billing,
    invoice,
    audit,
    prices,
    estimate,
    reprice,
    reconcile,
    erase,
    retention,
):
    module.register(app)


def main() -> None:
    """The console script."""
    app()
