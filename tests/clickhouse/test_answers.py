"""An answer of which a part is missing is no answer.

The server keeps what it is about to send in a file, and leaves out, without a word, what a full disk does not take of
it. Here a proxy before the real server leaves it out, which needs no full disk.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from taximeter_consumers.clickhouse import connect
from taximeter_consumers.clickhouse.connection import IN_MEMORY
from taximeter_consumers.queries.adhoc import ask
from taximeter_infra.stack.plan import StackAddresses
from taximeter_schemas.errors import Retryable
from taximeter_schemas.settings import ClickHouseSettings

pytestmark = pytest.mark.integration
_SENT_ON = ("Authorization", "Content-Type", "Content-Encoding")
_PASSED_ON = ("Content-Type", "X-ClickHouse-Format", "X-ClickHouse-Summary", "X-ClickHouse-Timezone")


@dataclass
class _FullDisk:
    """A server that sends no byte of an answer while its disk is full; and the URL parameters of what it was asked."""

    settings: ClickHouseSettings
    asked: list[dict[str, list[str]]]
    is_full: bool = False


@pytest.fixture
def full_disk(local_stack: StackAddresses) -> Iterator[_FullDisk]:
    """The stack's server behind a proxy."""
    target = urlsplit(local_stack.clickhouse_url.get_secret_value())

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = self.body()
            asked = parse_qs(urlsplit(self.path).query)
            found.asked.append(asked)
            passed_on = {name: self.headers[name] for name in _SENT_ON if name in self.headers}
            with closing(HTTPConnection(target.hostname or "", target.port)) as server:
                server.request("POST", self.path, sent, passed_on)
                answer = server.getresponse()
                body = answer.read()
            if found.is_full and asked.get("wait_end_of_query") == ["1"]:
                body = b""
            self.send_response(answer.status)
            for name in _PASSED_ON:
                if answer.headers.get(name):
                    self.send_header(name, answer.headers[name])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found = b""
            while size := int(self.rfile.readline(), 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return found

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Nothing on standard error."""

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    netloc = f"{target.netloc.rpartition('@')[0]}@127.0.0.1:{proxy.server_address[1]}"
    url = SecretStr(target._replace(netloc=netloc).geturl())
    found = _FullDisk(ClickHouseSettings(url=url, database="default"), [])
    try:
        yield found
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()


def test_rows_that_are_missing_are_no_empty_answer(full_disk: _FullDisk) -> None:
    """Whether one row was found or none: the first is tried again, the second is an answer."""
    with closing(connect(full_disk.settings)) as clickhouse:
        assert clickhouse.rows("SELECT 7 AS seven") == [(7,)]
        full_disk.is_full = True
        for read in (clickhouse.rows, clickhouse.records, clickhouse.scalar):
            with pytest.raises(Retryable, match="0 rows of 1; its disk may be full"):
                read("SELECT 7 AS seven")
        assert clickhouse.rows("SELECT 7 WHERE 0") == []


def test_answers_are_kept_in_memory(full_disk: _FullDisk) -> None:
    """A full disk costs none that fits."""
    with closing(connect(full_disk.settings)) as clickhouse:
        clickhouse.rows("SELECT 7")
    assert full_disk.asked[-1]["buffer_size"] == [str(IN_MEMORY["buffer_size"])]


def test_a_persons_query_says_so_too(full_disk: _FullDisk) -> None:
    """Not even the names of the columns came."""
    with ask(full_disk.settings, "SELECT 7 AS seven") as answer:
        assert (answer.names, list(answer.rows)) == (["seven"], [[7]])
    full_disk.is_full = True
    with pytest.raises(Retryable, match="disk may be full"), ask(full_disk.settings, "SELECT 7 AS seven"):
        pass


def test_what_the_driver_asks_by_itself_stays_in_memory_too(full_disk: _FullDisk) -> None:
    """It asks what columns a table has before rows are inserted into it."""
    with closing(connect(full_disk.settings)) as clickhouse:
        full_disk.asked.clear()
        table = f"answers_{secrets.token_hex(4)}"
        clickhouse.execute(f"CREATE TABLE {table} (x Int64) ENGINE = Memory")
        try:
            clickhouse.insert(table, ["x"], [(1,), (2,)])
            assert clickhouse.rows(f"SELECT sum(x) FROM {table}") == [(3,)]
        finally:
            clickhouse.execute(f"DROP TABLE {table}")
    assert len(full_disk.asked) > 4
    assert [asked for asked in full_disk.asked if "buffer_size" not in asked] == []


def test_a_connection_without_the_servers_settings_is_none(full_disk: _FullDisk) -> None:
    """The driver would take it for a server that has no settings, for as long as it is open."""
    full_disk.is_full = True
    with pytest.raises(Retryable):
        connect(full_disk.settings)
    full_disk.is_full = False
    connect(full_disk.settings).close()
