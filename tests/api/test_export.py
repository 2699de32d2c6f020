"""Exports: what SQL says, in three forms, safe for spreadsheets, in bounded memory."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient
from tests.api.use import FORMULAS, MINE

from taximeter_consumers.api.models.export import Dataset, ExportForm
from taximeter_consumers.api.reads import export as reading
from taximeter_consumers.api.reads.books import Books
from taximeter_consumers.api.reads.export import BLOCK, Export, blocks
from taximeter_consumers.api.reads.export_columns import harmless
from taximeter_consumers.api.reads.usage_filter import UsageAsked
from taximeter_consumers.api.settings import ApiSettings
from taximeter_consumers.clickhouse import ClickHouse, connect
from taximeter_schemas.errors import Retryable
from taximeter_schemas.money import plain
from taximeter_schemas.settings import ClickHouseSettings

pytestmark = pytest.mark.integration
ROLLUPS = ("run_costs", "node_costs", "model_costs", "usage_by_subject", "charges")
_BULK = """
INSERT INTO stored_events (account_id, user_id, run_id, node_id, event_id, id_time, occurred_at, executions,
    description, kafka_offset, version)
SELECT 'bulk', concat('user-', toString(number % 97)), concat('run-', hex(cityHash64(number))),
    hex(cityHash64(number, 1)), generateUUIDv4(), fromUnixTimestamp64Milli(toInt64(1793491200000 + number), 'UTC'),
    fromUnixTimestamp64Milli(toInt64(1793491200000 + number), 'UTC'), 1, '', number, number
FROM numbers({rows:UInt64})
"""


def exported(client: TestClient, key: str, **parameters: str) -> bytes:
    """A whole file."""
    answer = client.get("/v1/export", params=parameters, headers={"X-API-Key": key})
    assert answer.status_code == 200, answer.text
    assert "attachment" in answer.headers["content-disposition"]
    return answer.content


def lines(content: bytes) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_usage_is_every_event_with_its_cost(client: TestClient, keys: dict[str, str], sql: ClickHouse) -> None:
    """As CSV and as JSON lines the same, in the order of the table; the sum is that of the rollups."""
    rows = lines(exported(client, keys["operator"], dataset="usage"))
    objects = [
        json.loads(line) for line in exported(client, keys["operator"], dataset="usage", format="jsonl").splitlines()
    ]
    wanted = sql.rows("SELECT toString(event_id) FROM events ORDER BY account_id, id_time, event_id")
    assert [row["event_id"] for row in rows] == [name for (name,) in wanted]
    assert [one["event_id"] for one in objects] == [name for (name,) in wanted]
    assert [row["cost_usd"] for row in rows] == [one["cost_usd"] for one in objects]
    whole = sum((Decimal(row["cost_usd"]) for row in rows), Decimal(0))
    assert plain(whole) == plain(sql.scalar("SELECT sum(cost_usd) FROM run_costs"))
    assert objects[0]["occurred_at"].endswith("Z")


@pytest.mark.parametrize("rollup", ROLLUPS)
def test_rollups_are_what_sql_says(client: TestClient, keys: dict[str, str], sql: ClickHouse, rollup: str) -> None:
    """Every row, amounts to the last digit, of one's own account alone."""
    content = exported(client, keys["mine"], dataset="rollups", rollup=rollup, format="jsonl")
    objects = [json.loads(line) for line in content.splitlines()]
    costs = sql.rows(f"SELECT cost_usd FROM {rollup} WHERE account_id = '{MINE}'")
    assert sorted(Decimal(one["cost_usd"]) for one in objects) == sorted(cost for (cost,) in costs)
    assert {one["account_id"] for one in objects} == {MINE}
    assert lines(exported(client, keys["mine"], dataset="rollups", rollup=rollup))[0].keys() == objects[0].keys()


def test_invoices_are_their_lines(client: TestClient, keys: dict[str, str], sql: ClickHouse) -> None:
    """Amounts as issued; a time narrows by when an invoice was issued."""
    rows = lines(exported(client, keys["mine"], dataset="invoices"))
    wanted = sql.rows(f"SELECT amount_usd FROM invoice_lines WHERE account_id = '{MINE}' ORDER BY number, line_number")
    assert [row["amount_usd"] for row in rows] == [plain(amount) for (amount,) in wanted]
    assert lines(exported(client, keys["mine"], dataset="invoices", until="2026-11-30")) == []


def test_parquet_is_read_by_others(client: TestClient, keys: dict[str, str], sql: ClickHouse, tmp_path: Path) -> None:
    """Exact decimals, maps as maps."""
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "usage.parquet"
    path.write_bytes(exported(client, keys["mine"], dataset="usage", format="parquet"))
    table = parquet.read_table(path)
    wanted = sql.scalar(f"SELECT sum(cost_usd) FROM run_costs WHERE account_id = '{MINE}'")
    assert plain(sum(table.column("cost_usd").to_pylist(), Decimal(0))) == plain(wanted)


def test_no_text_in_csv_is_a_formula(client: TestClient, keys: dict[str, str]) -> None:
    """What would run has an apostrophe before it; what would not is as it was."""
    rows = lines(exported(client, keys["mine"], dataset="usage", runId="formulas"))
    assert [row["user_id"] for row in rows] == [name if name == "plain" else f"'{name}" for name in FORMULAS]


@given(st.text(max_size=12))
def test_harmless_texts_do_not_begin_like_formulas(open_sql: ClickHouse, text: str) -> None:
    """Whatever stands before the sign; and a text that was harmless stays."""
    told = open_sql.scalar(f"SELECT {harmless('base64Decode({text:String})')}", {"text": _base64(text)})
    bare = text.lstrip(" \t\r\n\x00\x0b\x0c")
    assert told == (f"'{text}" if bare.startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠")) else text)


def _base64(text: str) -> str:
    import base64

    return base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()


@pytest.fixture(scope="session")
def open_sql(sql: ClickHouse) -> ClickHouse:
    """For hypothesis, which asks for the fixtures of a session."""
    return sql


@pytest.fixture
def bulk(migrated_database: ClickHouseSettings) -> Iterator[ClickHouse]:
    """Many events, over the very connection that exports have."""
    with_rows = connect(migrated_database)
    with_rows.execute(_BULK, {"rows": 200_000})
    with_rows.close()
    connection = connect(migrated_database, options=ApiSettings().export_options)
    yield connection
    connection.close()


def test_a_large_export_is_never_in_memory_as_a_whole(bulk: ClickHouse) -> None:
    """It comes in blocks; this process grows by a small part of what it sends, and the server keeps its own bound."""
    book = Books().current(bulk).book
    wanted = Export(Dataset.USAGE, ExportForm.CSV, UsageAsked({}))
    sent, rows = 0, -1
    Path("/proc/self/clear_refs").write_text("5")
    before = _peak_kib()
    for block in blocks(bulk, wanted, book):
        assert len(block) <= BLOCK
        sent += len(block)
        rows += block.count(b"\n")
    assert rows == 200_000
    assert sent > 40_000_000
    assert _peak_kib() - before < sent / 1024 / 4


def test_a_reader_that_leaves_ends_the_query(bulk: ClickHouse) -> None:
    """Nothing goes on in the server for nobody."""
    sent = blocks(bulk, Export(Dataset.USAGE, ExportForm.CSV, UsageAsked({})), Books().current(bulk).book)
    assert next(sent)
    sent.close()
    for _ in range(500):
        running = bulk.scalar(
            "SELECT count() FROM system.processes WHERE current_database = currentDatabase()"
            " AND query LIKE '%exported%' AND query NOT LIKE '%system.processes%'"
        )
        if not running:
            return
    pytest.fail("the query goes on")


def test_a_failure_in_the_middle_is_no_whole_file(bulk: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader raises instead of ending."""
    failing = "SELECT toString(number), throwIf(number = 1500000) FROM numbers(3000000) SETTINGS max_block_size = 1000"
    monkeypatch.setattr(reading, "export_sql", lambda *_: (failing, {}))
    sent = blocks(bulk, Export(Dataset.USAGE, ExportForm.CSV, UsageAsked({})), Books().current(bulk).book)
    received = [next(sent)]
    with pytest.raises(Retryable):
        received.extend(sent)
    assert sum(len(block) for block in received) > BLOCK


def _peak_kib() -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
