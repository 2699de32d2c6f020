"""`taximeter erase`: a user is taken out of everything that is stored, and every sum stays."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from taximeter_infra.cli.failures import ExitCode, told_plainly
from taximeter_infra.cli.panels import Panel
from taximeter_infra.cli.reach import open_clickhouse
from taximeter_infra.cli.who import who

if TYPE_CHECKING:
    from taximeter_consumers.clickhouse import ClickHouse
    from taximeter_consumers.erasure import Erased, Erasure
    from taximeter_schemas.settings import ClickHouseSettings

# A mutation rewrites every part that has the user.
_STATEMENT_SECONDS = 3_600
# Characters of standard input.
_LONGEST_ID = 65_536
_REMAINS = (
    "Kafka keeps the user's records until their retention, archives and exported files until you delete them;"
    " `taximeter erase --again` erases what comes back from them"
)


@told_plainly
def erase(
    user: Annotated[str | None, typer.Option(metavar="ID", help="Whom; '-' reads the id from standard input")] = None,
    account: Annotated[
        str | None, typer.Option(metavar="ID", help="Only in this account", show_default="in every account")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Whoever was erased before and is back; run it daily, and after a replay")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the rows, by table")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Erase; without it nothing is changed")] = False,
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Who orders it", show_default="your user name")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of lines for people")] = False,
) -> None:
    """Erase a user: events, rollups and limits get a random name in place of the id, free texts are emptied.

    No total changes: the sums of accounts and models are compared, and exit
    code 3 says that one differs. What was broken off is finished by the same
    command. There is no way back.

    \b
    Examples:
      taximeter erase --user ada --account acme --dry-run
      taximeter erase --user ada --account acme --yes
      taximeter erase --again --yes --json
    """
    from taximeter_consumers import erasure
    from taximeter_infra.cli.context import clickhouse_settings

    if again == (user is not None) or (again and account is not None):
        raise typer.BadParameter("say whom: --user ID, with or without --account; or --again alone")
    if dry_run and yes:
        raise typer.BadParameter("--dry-run and --yes exclude each other")
    user_id = _only_line(sys.stdin.read(_LONGEST_ID)) if user == "-" else user
    if user_id == "":
        raise typer.BadParameter("an empty id is nobody's", param_hint="--user")
    name = who(by) if yes else by or ""
    settings = clickhouse_settings()
    with closing(open_clickhouse(settings, timeout_seconds=_STATEMENT_SECONDS)) as clickhouse:
        order = None
        if user_id is not None:
            order = erasure.new_erasure(erasure.erasures(clickhouse), user_id, account or "", name)
        if not yes:
            _count(clickhouse, order, as_json=as_json, asked=dry_run)
            return
        with _progress() as say:
            done = erasure.erase(clickhouse, order, say) if order else erasure.again(clickhouse, name, say)
    _tell(done, "erased", as_json=as_json)
    if order:
        _warn_of_nobody(done)
    _warn_of_shadows(settings)
    for line in done.sums.wrong:
        typer.echo(f"A SUM IS NOT WHAT IT WAS, AND DOES NOT FOLLOW FROM THE EVENTS: {line}", err=True)
    for line in done.sums.mended:
        typer.echo(f"a sum was wrong before, and follows from the events now: {line}", err=True)
    # What had come back may have counted twice until now.
    if done.sums.wrong or (done.sums.mended and not again):
        raise typer.Exit(ExitCode.CHECK_FAILED)


def register(app: typer.Typer) -> None:
    """Put this command on the app."""
    app.command(short_help="Take a user out of everything that is stored.", rich_help_panel=Panel.PIPELINE)(erase)


def _count(clickhouse: ClickHouse, order: Erasure | None, *, as_json: bool, asked: bool) -> None:
    """Shows the rows that an erasure would change; of everybody who is back where there is no `order`. Not `asked` for,
    it is a refusal."""
    from taximeter_consumers import erasure

    tables: dict[str, int] = {}
    for one in [order] if order else erasure.returned(clickhouse):
        for table, rows in erasure.found(clickhouse, one).items():
            tables[table] = tables.get(table, 0) + rows
    counted = erasure.Erased(tables)
    _tell(counted, "would change", as_json=as_json)
    if order:
        _warn_of_nobody(counted)
    if any(tables.values()) and not asked:
        typer.echo("nothing is changed; --yes erases", err=True)
        raise typer.Exit(ExitCode.USAGE)


def _only_line(text: str) -> str:
    """The id of standard input. Raises typer.BadParameter where there is more than one line."""
    user_id, _, more = text.partition("\n")
    if more.strip():
        raise typer.BadParameter("standard input has more than one line: one user at a time", param_hint="--user")
    return user_id


def _warn_of_nobody(erased: Erased) -> None:
    if not erased.rows:
        typer.echo("no row names this user: is the id right, and the account?", err=True)


def _tell(erased: Erased, what: str, *, as_json: bool) -> None:
    from taximeter_consumers.erasure.money import Changed

    if as_json:
        answer = {"done": what == "erased", "tables": dict(erased.tables), "rows": erased.rows}
        typer.echo(
            json.dumps(
                {
                    **answer,
                    "wrong_sums": list(erased.sums.wrong),
                    "mended_sums": list(erased.sums.mended),
                    "remains": _REMAINS,
                },
                indent=2,
            )
        )
        return
    for table, rows in erased.tables.items():
        if rows:
            typer.echo(f"{table.removeprefix('stored_')}: {rows:,} rows")
    typer.echo(f"{what}: {erased.rows:,} rows")
    if what == "erased" and erased.sums == Changed():
        typer.echo("no sum has changed")
    typer.echo(_REMAINS)


def _warn_of_shadows(settings: ClickHouseSettings) -> None:
    from taximeter_consumers.shadow.database import names

    for name in names(settings):
        typer.echo(
            f"the shadow {name} has rows of its own: drop it (taximeter replay --shadow {name} --drop), or give the"
            f" order again with CLICKHOUSE_DATABASE={settings.database}_shadow_{name}",
            err=True,
        )


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """What is being done, on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _what: None
        return
    from rich.console import Console

    with Console(stderr=True).status("erasing") as status:
        yield lambda what: status.update(what)
