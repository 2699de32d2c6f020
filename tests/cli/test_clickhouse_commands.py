"""`migrate` and `sql` against a real ClickHouse."""

from __future__ import annotations

import csv
import io
import json

import pytest
from tests.cli.conftest import Taximeter

from taximeter_consumers.clickhouse import connect
from taximeter_consumers.queries.adhoc import plain_statement, said_by_server
from taximeter_infra.migrate import packaged
from taximeter_infra.stack.plan import StackAddresses
from taximeter_schemas.errors import Denied, Misconfigured
from taximeter_schemas.settings import ClickHouseSettings

NAMES = [migration.name for migration in packaged()]
HOSTILE = (
    "CREATE TABLE stolen (a Int8) ENGINE = Memory",
    "DROP TABLE kept",
    "DROP DATABASE {database}",
    "INSERT INTO kept VALUES (1)",
    "ALTER TABLE kept DELETE WHERE 1",
    "TRUNCATE TABLE kept",
    "DELETE FROM kept WHERE 1",
    "RENAME TABLE kept TO lost",
    "SYSTEM SHUTDOWN",
    "SET readonly = 0",
    "SELECT * FROM kept SETTINGS readonly = 0",
    "INSERT INTO FUNCTION file('x.csv') SELECT 1",
    "INSERT INTO FUNCTION null('a Int8') SELECT 1",
    "SELECT 1; DROP TABLE kept",
    "KILL QUERY WHERE 1",
    "/* SELECT */ KILL QUERY WHERE 1",
    "/* SELECT */ BACKUP DATABASE {database} TO Disk('a', 'b')",
    "WITH 1 AS one INSERT INTO kept SELECT one",
)


def test_statements_are_stripped_of_their_semicolon() -> None:
    """A trailing semicolon is habit; an own FORMAT would not fit the output."""
    assert plain_statement(" SELECT 1 ;\n") == "SELECT 1"
    for wrong in ("", " ; ", "SELECT 1 FORMAT CSV", "SELECT 1 format Native;"):
        with pytest.raises(Misconfigured):
            plain_statement(wrong)


@pytest.mark.parametrize(
    "query",
    [
        "select(1)",
        "(SELECT 1)",
        "-- why\nWITH 1 AS a SELECT a",
        "/* a */ /* b */show a",
        "FROM a SELECT 1",
        "DESC a",
    ],
)
def test_reading_statements_pass(query: str) -> None:
    """Whatever a reading statement begins with, comments and brackets before it included."""
    assert plain_statement(query) == query


@pytest.mark.parametrize("query", ["-- only this", "SELECTED 1", "/* SELECT 1", "KILL QUERY WHERE 1", "set a = 1"])
def test_other_statements_do_not_reach_the_server(query: str) -> None:
    """They are refused here already."""
    with pytest.raises(Denied):
        plain_statement(query)


def test_the_servers_words_lose_version_and_address() -> None:
    """What is left is the sentence about the query."""
    text = (
        "Received ClickHouse exception, code: 47, server response: Code: 47. DB::Exception: Unknown identifier `nope`."
        " (UNKNOWN_IDENTIFIER) (version 26.9.2.1) (for url http://127.0.0.1:18123)"
    )
    assert said_by_server(text) == "Unknown identifier `nope`. (UNKNOWN_IDENTIFIER)"
    assert said_by_server("nothing of the kind") == ""


@pytest.mark.integration
def test_migrate_is_idempotent_and_loads_the_book(taximeter: Taximeter, on_clickhouse: ClickHouseSettings) -> None:
    """What would be done, what was done, nothing left to do."""
    assert json.loads(taximeter("migrate", "--dry-run", "--json").stdout)["migrations"] == NAMES
    applied = json.loads(taximeter("migrate", "--json").stdout)
    assert applied["migrations"] == NAMES
    assert applied["rates_added"] > 100
    again = json.loads(taximeter("migrate", "--json").stdout)
    assert (again["migrations"], again["rates_added"]) == ([], 0)
    assert "up to date" in taximeter("migrate").stdout


@pytest.mark.integration
def test_sql_has_three_outputs(taximeter: Taximeter, on_clickhouse: ClickHouseSettings) -> None:
    """A table, a JSON array with exact decimals, and CSV; standard input counts as a query too."""
    taximeter("migrate")
    query = "SELECT number AS n, 'a,b' AS words, toDecimal64(0.1, 18) AS usd, NULL AS none FROM numbers(2)"
    table = taximeter("sql", query)
    assert table.stdout.split()[:4] == ["n", "words", "usd", "none"]
    rows = json.loads(taximeter("sql", "--json", query).stdout)
    assert rows == [{"n": number, "words": "a,b", "usd": "0.1", "none": None} for number in range(2)]
    from_stdin = taximeter("sql", "--csv", "-", text=query + ";\n")
    assert list(csv.reader(io.StringIO(from_stdin.stdout)))[1] == ["0", "a,b", "0.1", ""]
    assert json.loads(taximeter("sql", "--json", "SELECT 1 WHERE 0").stdout) == []
    assert json.loads(taximeter("sql", "--json", "SELECT count() AS n FROM prices").stdout)[0]["n"] > 100


@pytest.mark.integration
def test_sql_says_that_there_is_more(taximeter: Taximeter, on_clickhouse: ClickHouseSettings) -> None:
    """A table is cut at its limit with a note; the other outputs are whole unless a limit is given."""
    taximeter("migrate")
    query = "SELECT number FROM numbers(1000)"
    cut = taximeter("sql", query, "--limit", 3)
    assert len(cut.stdout.splitlines()) == 4
    assert "only the first 3 rows" in cut.stderr
    assert len(taximeter("sql", query).stdout.splitlines()) == 201
    assert len(json.loads(taximeter("sql", query, "--json").stdout)) == 1000
    assert len(json.loads(taximeter("sql", query, "--json", "--limit", 5).stdout)) == 5
    whole = taximeter("sql", "SELECT number FROM numbers(3)", "--limit", 3)
    assert "only the first" not in whole.stderr


@pytest.mark.integration
def test_sql_passes_the_servers_words_on(taximeter: Taximeter, on_clickhouse: ClickHouseSettings) -> None:
    """A mistake in the user's own query is explained by the server, in one line, with exit code 1."""
    taximeter("migrate")
    result = taximeter("sql", "SELECT nope FROM events")
    assert result.exit_code == 1
    assert "nope" in result.stderr
    assert "(version" not in result.stderr
    late = taximeter("sql", "--json", "SELECT throwIf(number = 900000) AS a FROM numbers(1000000)")
    assert late.exit_code == 1
    assert late.stdout == ""


@pytest.mark.integration
@pytest.mark.parametrize("user", ["owner", "analyst"])
def test_sql_cannot_write(
    taximeter: Taximeter,
    on_clickhouse: ClickHouseSettings,
    local_stack: StackAddresses,
    monkeypatch: pytest.MonkeyPatch,
    user: str,
) -> None:
    """Not even as the user who owns everything: every hostile statement fails, and nothing has changed."""
    taximeter("migrate")
    owner = connect(on_clickhouse)
    try:
        owner.execute("CREATE TABLE kept (a Int8) ENGINE = MergeTree ORDER BY a")
        owner.execute("INSERT INTO kept VALUES (7)")
        if user == "analyst":
            monkeypatch.setenv("CLICKHOUSE_URL", local_stack.analyst_url)
        assert json.loads(taximeter("sql", "--json", "SELECT a FROM kept").stdout) == [{"a": 7}]
        for statement in HOSTILE:
            result = taximeter("sql", statement.format(database=on_clickhouse.database))
            assert result.exit_code == 1, statement
        assert owner.rows("SELECT * FROM kept") == [(7,)]
    finally:
        owner.close()
