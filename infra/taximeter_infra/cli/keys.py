"""`taximeter keys`: who may ask the API."""

from __future__ import annotations

import json
import secrets
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taximeter_infra.cli.failures import told_plainly
from taximeter_infra.cli.panels import Panel
from taximeter_infra.cli.reach import open_clickhouse
from taximeter_infra.cli.who import who

if TYPE_CHECKING:
    from taximeter_consumers.api.keys import Key
    from taximeter_consumers.clickhouse import ClickHouse

AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of text")]

keys = typer.Typer(no_args_is_help=True, help="Keys of the HTTP API: create, list, revoke.")


@keys.command()
@told_plainly
def create(
    name: Annotated[str, typer.Argument(help="Who or what will use it")],
    account: Annotated[str, typer.Option(metavar="ID", help="The only account that it sees; '*' for all: operators")],
    scope: Annotated[list[str], typer.Option(help="ingest, read, billing or admin; may be given again")],
    days: Annotated[
        int | None, typer.Option(min=1, max=36_500, help="Ends after so many days", show_default="never")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. Its secret is shown now and never again: only a hash of it is kept.

    To rotate a key, make a second one, move its users over, and revoke the
    first.

    \b
    Examples:
      taximeter keys create dashboard --account acme --scope read
      taximeter keys create finance --account acme --scope read --scope billing --days 365
      taximeter keys create operator --account '*' --scope admin --json
    """
    from taximeter_consumers.api import key_store
    from taximeter_consumers.api.keys import Key, hash_of, made, text_of

    shown, now = made(secrets.token_bytes), datetime.now(UTC)
    key = Key(
        key_id=shown.key_id,
        secret_hash=hash_of(shown.secret),
        name=name.strip(),
        account_id=account,
        scopes=key_store.scopes_of(scope),
        created_at=now,
        created_by=who(),
        expires_at=now + timedelta(days=days) if days else None,
    )
    with closing(_connect()) as clickhouse:
        key_store.keep(clickhouse, shown, key)
    if as_json:
        typer.echo(json.dumps({"key": text_of(shown), **_plainly(key, now)}, indent=2))
        return
    typer.echo(text_of(shown))
    typer.echo(f"key {key.key_id} for {_whose(key)}; this is the only time that it is shown", err=True)


@keys.command("list")
@told_plainly
def list_(
    account: Annotated[str | None, typer.Option(metavar="ID", help="Only those of this account")] = None,
    as_json: AsJson = False,
) -> None:
    """Keys, without their secrets.

    \b
    Examples:
      taximeter keys list
      taximeter keys list --account acme --json
    """
    from taximeter_consumers.api import key_store

    with closing(_connect()) as clickhouse:
        found = key_store.listed(clickhouse, account or "")
    now = datetime.now(UTC)
    if as_json:
        typer.echo(json.dumps({"keys": [_plainly(key, now) for key in found]}, indent=2, ensure_ascii=False))
        return
    for key in found:
        ends = f", until {key.expires_at:%Y-%m-%d}" if key.expires_at else ""
        scopes = ", ".join(sorted(key.scopes))
        typer.echo(f"{key.key_id}  {key.state(now):7}  {key.name}: {scopes}, for {_whose(key)}{ends}")
    if not found:
        typer.echo("no keys; make one with `taximeter keys create`", err=True)


@keys.command()
@told_plainly
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="As `taximeter keys list` shows it")],
    as_json: AsJson = False,
) -> None:
    """A key opens nothing any more, within seconds, everywhere. That is final.

    \b
    Examples:
      taximeter keys revoke 3f9c1b7a5e2d4c60
    """
    from taximeter_consumers.api import key_store

    with closing(_connect()) as clickhouse:
        key = key_store.revoke(clickhouse, key_id, who())
    typer.echo(json.dumps(_plainly(key, datetime.now(UTC)), indent=2) if as_json else f"key {key.key_id} is revoked")


def register(app: typer.Typer) -> None:
    """Put these commands on the app, under `keys`."""
    app.add_typer(keys, name="keys", rich_help_panel=Panel.ANSWERS)


def _whose(key: Key) -> str:
    return "all accounts" if key.account_id == "*" else f"account {key.account_id}"


def _plainly(key: Key, now: datetime) -> dict[str, Any]:
    def said(moment: datetime | None) -> str | None:
        return None if moment is None else moment.isoformat()

    return {
        "key_id": key.key_id,
        "name": key.name,
        "account_id": key.account_id,
        "scopes": sorted(key.scopes),
        "state": key.state(now),
        "created_at": said(key.created_at),
        "created_by": key.created_by,
        "expires_at": said(key.expires_at),
        "revoked_at": said(key.revoked_at),
        "revoked_by": key.revoked_by,
    }


def _connect() -> ClickHouse:
    from taximeter_infra.cli.context import clickhouse_settings

    return open_clickhouse(clickhouse_settings())
