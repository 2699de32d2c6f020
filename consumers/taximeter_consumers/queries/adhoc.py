"""One query that a person wrote, answered row by row, unable to change anything.

Two locks. Only statements that begin like a reading one are sent, since KILL and BACKUP pass the server's own lock. And
the server runs them with `readonly = 1`: 2 would still let `INSERT INTO FUNCTION file(...)` write. A user whose profile
is read-only already keeps that profile. The server's own words about a mistake are passed on here, and only here, since
the text is about the user's own query.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError

from taximeter_consumers.clickhouse.connection import IN_MEMORY
from taximeter_consumers.clickhouse.errors import code_of, translate
from taximeter_schemas.errors import Denied, Misconfigured, Retryable

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from taximeter_schemas.settings import ClickHouseSettings

_FORMAT: Final = "JSONCompactEachRowWithNamesAndTypes"
_READING: Final = ("SELECT", "WITH", "FROM", "SHOW", "DESCRIBE", "DESC", "EXPLAIN", "EXISTS")
_LEADING: Final = re.compile(r"(?:\s|\(|--[^\n]*(?:\n|$)|/\*.*?\*/)*", re.DOTALL)
_OWN_FORMAT: Final = re.compile(r"\bFORMAT\s+(\w+)\s*$", re.IGNORECASE)
_SAID: Final = re.compile(r"Code: \d+\. (?:DB::Exception: )*(?P<text>.*?)(?: \(version [^)]*\)|\n|$)")
# READONLY and ACCESS_DENIED.
_REFUSED: Final = {164, 497}


class QueryFailed(Misconfigured):
    """The server refuses the query; `problem` is its own first line."""


@dataclass(frozen=True)
class Answer:
    """Names and ClickHouse types of the columns, and the rows, which are read from the server as they are taken.

    Decimals come as strings, to the last digit.
    """

    names: list[str]
    types: list[str]
    rows: Iterator[list[Any]]


@contextmanager
def ask(settings: ClickHouseSettings, sql: str, limit: int | None = None) -> Iterator[Answer]:
    """The answer to one query. With `limit` the server stops soon after as many rows (it counts in blocks).

    Raises QueryFailed with the server's words, Denied for a query that would change something, and Retryable.
    """
    statement = plain_statement(sql)
    with _told():
        client = _open(settings)
    try:
        with _told():
            stream = client.raw_stream(statement, settings=_options(client, limit), fmt=_FORMAT)
            lines = _lines(stream)
            names, types = next(lines, None), next(lines, None)
            if names is None or types is None:
                raise Retryable("ClickHouse sent no answer to the query; its disk may be full")
        yield Answer(names, types, lines)
        if isinstance(stream, io.IOBase):
            stream.close()
    finally:
        client.close()


def plain_statement(sql: str) -> str:
    """The statement without its semicolon.

    Raises QueryFailed for an empty one and for one with its own FORMAT, Denied for one that does not read.
    """
    statement = sql.strip().rstrip(";").strip()
    if not statement:
        raise QueryFailed("the query is empty", mend='give one: taximeter sql "SELECT count() FROM events"')
    leading = _LEADING.match(statement)
    first = statement[leading.end() if leading else 0 :].split(maxsplit=1)
    if not first or re.split(r"\W", first[0])[0].upper() not in _READING:
        raise Denied(f"only queries that read are run; they begin with one of {', '.join(_READING)}")
    own = _OWN_FORMAT.search(statement)
    if own:
        raise QueryFailed(
            f"the query asks for FORMAT {own.group(1)}", mend="leave FORMAT out; --json and --csv choose the output"
        )
    return statement


def said_by_server(text: str) -> str:
    """The first line of the server's message in the text of a client's exception, without version and address."""
    found = _SAID.search(text)
    return found.group("text").strip() if found else ""


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except ClickHouseError as error:
        text = str(error)
        if code_of(text) is None:
            raise translate(text) from None
        if code_of(text) in _REFUSED:
            raise Denied(
                f"this is not allowed here; queries may only read. ClickHouse says: {said_by_server(text)}"
            ) from None
        raise QueryFailed(f"ClickHouse says: {said_by_server(text)}", mend="correct the query") from None
    except OSError:
        raise translate("") from None


def _open(settings: ClickHouseSettings) -> Client:
    parts = urlsplit(settings.url.get_secret_value())
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Misconfigured("CLICKHOUSE_URL is not an http(s) URL", mend="set it to http://user:password@host:8123")
    return clickhouse_connect.get_client(
        interface=parts.scheme,
        host=parts.hostname,
        port=parts.port or (8443 if parts.scheme == "https" else 8123),
        username=unquote(parts.username or "default"),
        password=unquote(parts.password or ""),
        database=settings.database,
        autogenerate_session_id=False,
        client_name="taximeter-sql",
        connect_timeout=10,
        query_limit=0,
    )


def _options(client: Client, limit: int | None) -> dict[str, Any]:
    """What to ask of the server, as far as the user may ask."""
    known = client.server_settings.get("readonly")
    level = "0" if known is None else str(known.value)
    # The answer starts when the query has succeeded, so an error never stands in the middle of rows.
    options: dict[str, Any] = {"wait_end_of_query": 1, **IN_MEMORY}
    if level == "1":
        return options
    options |= {
        "output_format_json_quote_decimals": 1,
        "output_format_json_quote_64bit_integers": 0,
        "output_format_json_quote_denormals": 1,
    }
    if limit is not None:
        options |= {"max_result_rows": limit, "result_overflow_mode": "break"}
    return options | {"readonly": 1} if level == "0" else options


def _lines(stream: Any) -> Iterator[list[Any]]:
    left = b""
    while chunk := stream.read(1 << 16):
        *whole, left = (left + chunk).split(b"\n")
        for line in whole:
            yield json.loads(line)
    if left.strip():
        yield json.loads(left)
