"""A connection to ClickHouse over HTTP, by clickhouse-connect, with errors in our words.

One `ClickHouse` may be used by several threads. It keeps no session: every statement stands alone, so a lost
connection loses nothing but the statement in flight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.external import ExternalData
from clickhouse_connect.driver.httputil import get_pool_manager
from urllib3.exceptions import HTTPError

from taximeter_consumers.clickhouse.errors import translate, translate_driver
from taximeter_schemas.errors import Misconfigured, Poison, Retryable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clickhouse_connect.driver.client import Client
    from clickhouse_connect.driver.query import QueryResult

    from taximeter_schemas.settings import ClickHouseSettings

Settings = Mapping[str, Any]
# An answer that is sent when it is whole lies in a file until then, but for its first so many bytes; where nothing is
# said, from its first byte on. What a full disk does not take of that file is missing in the answer, without a word.
IN_MEMORY: Final = {"buffer_size": 16 * 2**20}


class ClickHouse:
    """Statements against one database. Raises Retryable or Misconfigured, never the driver's errors.

    Poison comes only of statements that bring data."""

    def __init__(self, client: Client, database: str) -> None:
        self._client = client
        self.database = database

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """The rows of a query as tuples. Parameters are bound by the server: `{name:Type}` in the SQL."""
        with _translated():
            return _rows(self._client.query(sql, parameters=dict(parameters or {})))

    def records(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The rows of a query as dictionaries, keys in the order of the columns."""
        with _translated():
            answer = self._client.query(sql, parameters=dict(parameters or {}))
            return [dict(zip(answer.column_names, row, strict=True)) for row in _rows(answer)]

    def scalar(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """The first column of the first row. Raises Retryable where there is none, as on a table in trouble."""
        rows = self.rows(sql, parameters)
        if not rows:
            raise Retryable("ClickHouse answered without a row where there is always one")
        return rows[0][0]

    def execute(self, sql: str, parameters: Mapping[str, Any] | None = None, settings: Settings | None = None) -> None:
        """Runs a statement that answers nothing."""
        with _translated():
            self._client.command(sql, parameters=dict(parameters or {}), settings=dict(settings or {}))

    def execute_with_data(
        self, sql: str, data: bytes, *, parameters: Mapping[str, Any], settings: Settings | None = None
    ) -> None:
        """Runs an INSERT whose data follows in the body, in the format that the statement names. May raise Poison."""
        with _translated(data=True):
            self._client.command(sql, data=_Body(data), parameters=dict(parameters), settings=dict(settings or {}))

    def rows_of_data(
        self, sql: str, table: str, structure: str, data: bytes, settings: Settings | None = None
    ) -> list[tuple[Any, ...]]:
        """The rows of a query over `data`, an Avro file that the query sees as `table`; nothing is stored.

        May raise Poison."""
        with _translated(data=True):
            sent = ExternalData(file_name=table, data=data, fmt="Avro", structure=structure)
            return _rows(self._client.query(sql, external_data=sent, settings=dict(settings or {})))

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Inserts a few rows; the sink's bulk path is `execute_with_data`."""
        with _translated():
            self._client.insert(table, rows, column_names=list(columns))

    @contextmanager
    def stream(
        self, sql: str, parameters: Mapping[str, Any], settings: Settings, form: str
    ) -> Iterator[Callable[[int], bytes]]:
        """A query's answer as bytes of the server's format `form`, read as they are taken: up to so many at a call.

        What goes wrong after the first byte is raised by the call, and the answer is then no whole one."""
        said = {**dict.fromkeys(IN_MEMORY, 0), **settings}
        with _translated():
            found = self._client.raw_stream(sql, parameters=dict(parameters), settings=said, fmt=form)
        # The driver's own word is narrower than what it gives.
        source = cast("BinaryIO", found)

        def read(size: int) -> bytes:
            with _translated():
                return source.read(size)

        try:
            yield read
        finally:
            source.close()

    def version(self) -> str:
        """The server's version."""
        return str(self.scalar("SELECT version()"))

    def close(self) -> None:
        """Closes the connection's sockets."""
        self._client.close()


def _rows(answer: QueryResult) -> list[tuple[Any, ...]]:
    """The rows of an answer. Raises Retryable where there are fewer than the server says that it has found."""
    rows = [tuple(row) for row in answer.result_rows]
    found = int((answer.summary or {}).get("result_rows", 0))
    if len(rows) < found:
        raise Retryable(f"ClickHouse sent {len(rows)} rows of {found}; its disk may be full")
    return rows


class _Body(bytes):
    """The body of an INSERT. The driver reads a body as text, to see whether the statement may be repeated; many
    megabytes of Avro are no text, and reading them costs more than sending them."""

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """No statement stands in here."""
        del encoding, errors
        return ""


@contextmanager
def _translated(*, data: bool = False) -> Iterator[None]:
    """`data`: the statement brought some that may be to blame."""
    try:
        yield
    except ClickHouseError as error:
        translated = translate_driver(error)
        if isinstance(translated, Poison) and not data:
            # Nobody sent it: a table in trouble, as after a full disk.
            raise Retryable(f"ClickHouse cannot read what it has stored: {translated}") from error
        raise translated from error
    except (OSError, HTTPError, HTTPException) as error:
        # What breaks while an answer is read is not always the driver's own exception.
        raise translate("") from error


def connect(
    settings: ClickHouseSettings,
    *,
    database: str | None = None,
    timeout_seconds: float = 120,
    options: Settings | None = None,
    sockets: int | None = None,
) -> ClickHouse:
    """A connection to the settings' database, or to `database`; `options` are the server's settings for each statement.

    Of `sockets` so many are kept for threads that ask at the same time; without it this process keeps 8 for all of its
    connections. Raises Retryable when nobody answers."""
    parts = urlsplit(settings.url.get_secret_value())
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Misconfigured("CLICKHOUSE_URL is not an http(s) URL", mend="set it to http://user:password@host:8123")
    chosen = database or settings.database
    with _translated():
        client = clickhouse_connect.get_client(
            interface=parts.scheme,
            host=parts.hostname,
            port=parts.port or (8443 if parts.scheme == "https" else 8123),
            username=unquote(parts.username or "default"),
            password=unquote(parts.password or ""),
            database=chosen,
            autogenerate_session_id=False,
            client_name="taximeter",
            connect_timeout=10,
            send_receive_timeout=timeout_seconds,
            query_limit=0,
            settings={**IN_MEMORY, **(options or {})},
            pool_mgr=None if sockets is None else get_pool_manager(maxsize=sockets),
        )
    if not client.server_settings:
        # The driver asks for them before anything, and without our settings.
        client.close()
        raise Retryable("ClickHouse sent nothing of its settings; its disk may be full")
    return ClickHouse(client, chosen)
