"""Numbers without gaps and invoices that are issued once: several runs at once, and kills between any two steps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from tests.billing.charges import Used, put

from taximeter_consumers.billing import (
    Change,
    InvoiceRun,
    Request,
    Status,
    change_status,
    close_periods,
    read_settings,
)
from taximeter_consumers.billing.due import Due
from taximeter_consumers.billing.invoice import VOID
from taximeter_consumers.billing.numbering import InvoiceKey, Numbers
from taximeter_consumers.billing.stored import find_invoice, invoices_of, issue, open_numbers
from taximeter_consumers.clickhouse import ClickHouse, connect
from taximeter_consumers.clickhouse.claims import first_row
from taximeter_consumers.failpoints import INVOICE, VARIABLE
from taximeter_schemas.errors import Denied
from taximeter_schemas.settings import ClickHouseSettings

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ACCOUNTS = [f"account-{place:02}" for place in range(8)]


def use(clickhouse: ClickHouse, accounts: Iterable[str] = ACCOUNTS) -> None:
    """Something to bill for each."""
    put(clickhouse, [Used(account_id=account, quantity=Decimal(4_000_000)) for account in accounts])


def check_one_set(clickhouse: ClickHouse, accounts: Iterable[str] = ACCOUNTS) -> None:
    """One invoice for each account; numbers from 1 on; one row in storage for each."""
    expected = sorted(accounts)
    rows = clickhouse.rows("SELECT number, account_id FROM invoices ORDER BY number")
    assert [number for number, _ in rows] == list(range(1, len(expected) + 1))
    assert sorted(account for _, account in rows) == expected
    for table in ("stored_invoice_numbers", "stored_invoices"):
        assert clickhouse.scalar(f"SELECT count() FROM {table}") == len(expected)
    assert open_numbers(clickhouse) == []


def run_command(settings: ClickHouseSettings, *words: str, armed: str = "") -> subprocess.Popen[str]:
    """`taximeter invoice run` as a process of its own."""
    environment = {
        **os.environ,
        VARIABLE: armed,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "CLICKHOUSE_URL": settings.url.get_secret_value(),
        "CLICKHOUSE_DATABASE": settings.database,
    }
    command = [sys.executable, "-m", "taximeter_infra", "invoice", "run", "--period", "2026-10", *words]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_threads_that_run_at_once_issue_one_set(
    clickhouse: ClickHouse, clickhouse_settings: ClickHouseSettings
) -> None:
    """Each with a connection of its own."""
    use(clickhouse)
    ready = threading.Barrier(4)

    def run(_: int) -> None:
        connection = connect(clickhouse_settings)
        try:
            ready.wait()
            assert close_periods(connection, Request(), NOW).refused == []
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))
    check_one_set(clickhouse)


def test_processes_that_run_at_once_issue_one_set(
    clickhouse: ClickHouse, clickhouse_settings: ClickHouseSettings
) -> None:
    """Two commands, started together."""
    use(clickhouse)
    running = [run_command(clickhouse_settings) for _ in range(2)]
    said = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    check_one_set(clickhouse)


@pytest.mark.parametrize("point", [*INVOICE, *(pytest.param(f"{name}@3", marks=pytest.mark.long) for name in INVOICE)])
def test_a_run_that_is_killed_is_finished_by_the_next_one(
    clickhouse: ClickHouse, clickhouse_settings: ClickHouseSettings, point: str
) -> None:
    """Wherever it dies: no number is lost, none is used twice."""
    use(clickhouse)
    killed = run_command(clickhouse_settings, armed=point)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert close_periods(clickhouse, Request("2026-10"), NOW).refused == []
    check_one_set(clickhouse)


def test_a_run_for_one_account_finishes_what_others_left(
    clickhouse: ClickHouse, clickhouse_settings: ClickHouseSettings
) -> None:
    """A claimed number without an invoice does not stay so."""
    use(clickhouse)
    killed = run_command(clickhouse_settings, armed="invoice.after_claim")
    killed.communicate()
    assert open_numbers(clickhouse) == [1]
    close_periods(clickhouse, Request("2026-10", ACCOUNTS[5]), NOW)
    check_one_set(clickhouse, [ACCOUNTS[0], ACCOUNTS[5]])


def test_a_number_that_is_claimed_while_a_run_looks_is_no_matter(
    clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run claims after this one has read the numbers: it is that run's own to finish."""
    use(clickhouse)
    read = Numbers.read

    def slow(numbers: Numbers) -> None:
        """The other run is faster, just after this one has looked."""
        read(numbers)
        monkeypatch.undo()
        assert Numbers(clickhouse).claim(InvoiceKey(ACCOUNTS[0], "2026-10")) == 1

    monkeypatch.setattr(Numbers, "read", slow)
    assert close_periods(clickhouse, Request("2026-10"), NOW).refused == []
    check_one_set(clickhouse)


def test_an_accounts_later_invoice_waits_for_the_claimed_one_before_it(clickhouse: ClickHouse) -> None:
    """So a credit, or what is late, is not billed by both."""
    put(clickhouse, [Used(), Used(at=datetime(2026, 9, 5, tzinfo=UTC))])

    def due() -> Iterator[Due]:
        """When the run has looked for claimed numbers, another one claims and is slow."""
        assert Numbers(clickhouse).claim(InvoiceKey("acme", "2026-09")) == 1
        yield Due("acme", "2026-10", NOW)

    (october,) = InvoiceRun(clickhouse, read_settings(clickhouse), NOW).issue(due()).issued
    september = find_invoice(clickhouse, 1)
    assert september is not None
    assert [line.period for line in september.draft.lines if line.key] == ["2026-09"]
    assert [line.period for line in october.draft.lines if line.key] == ["2026-10"]


def test_of_two_claims_of_one_number_the_first_is_kept(clickhouse: ClickHouse) -> None:
    """Whoever has not seen the other one yet inserts in vain, sees it then, and takes the next number."""
    early, late = Numbers(clickhouse), Numbers(clickhouse)
    early._claim_next(InvoiceKey("acme", "2026-10"))
    late._claim_next(InvoiceKey("beta", "2026-10"))
    assert clickhouse.rows("SELECT number, account_id FROM stored_invoice_numbers") == [(1, "acme")]
    assert late.number_of(InvoiceKey("beta", "2026-10")) is None
    assert late.claim(InvoiceKey("beta", "2026-10")) == 2


def test_of_two_contents_of_one_invoice_the_first_is_kept(clickhouse: ClickHouse) -> None:
    """The second run gets what the first one issued."""
    use(clickhouse, ["acme"])
    (first,) = close_periods(clickhouse, Request(), NOW).issued
    assert issue(clickhouse, 1, replace(first.draft, lines=[]), NOW) == first
    assert clickhouse.scalar("SELECT count() FROM stored_invoices") == 1


def test_a_claim_that_was_noted_and_lost_takes_the_next_token(clickhouse: ClickHouse) -> None:
    """A server that died after it noted a token: the row is not there, and would never come under that token."""
    assert Numbers(clickhouse).claim(InvoiceKey("lost", "2026-10")) == 1
    clickhouse.execute("ALTER TABLE stored_invoice_numbers DELETE WHERE 1", settings={"mutations_sync": 2})
    assert Numbers(clickhouse).claim(InvoiceKey("acme", "2026-10")) == 1
    assert clickhouse.rows("SELECT number, account_id FROM stored_invoice_numbers FINAL") == [(1, "acme")]


def test_a_late_second_claim_does_not_count(clickhouse: ClickHouse) -> None:
    """Where the token was forgotten meanwhile, the first claim of a number stays."""
    assert Numbers(clickhouse).claim(InvoiceKey("acme", "2026-10")) == 1
    row = {"number": 1, "account_id": "beta", "period": "2026-10", "revision": 0}
    count = "SELECT count() FROM stored_invoice_numbers"
    assert first_row(clickhouse, "stored_invoice_numbers", "forgotten", row, lambda: clickhouse.scalar(count)) == 2
    assert Numbers(clickhouse).claim(InvoiceKey("beta", "2026-10")) == 2
    clickhouse.execute("OPTIMIZE TABLE stored_invoice_numbers FINAL")
    numbers = Numbers(clickhouse)
    numbers.read()
    assert [numbers.key_of(number).account_id for number in (1, 2)] == ["acme", "beta"]


def test_threads_that_claim_at_once_get_numbers_without_gaps(
    clickhouse: ClickHouse, clickhouse_settings: ClickHouseSettings
) -> None:
    """Each key one number, whoever asks for it."""
    keys = [InvoiceKey(f"account-{place % 12}", "2026-10") for place in range(48)]

    def claim(some: list[InvoiceKey]) -> list[int]:
        connection = connect(clickhouse_settings)
        try:
            numbers = Numbers(connection)
            return [numbers.claim(key) for key in some]
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        claimed = list(pool.map(claim, [keys[part::4] for part in range(4)]))
    assert {number for numbers in claimed for number in numbers} == set(range(1, 13))
    assert clickhouse.scalar("SELECT count() FROM stored_invoice_numbers") == 12


def test_of_two_changes_at_once_one_counts(clickhouse: ClickHouse, clickhouse_settings: ClickHouseSettings) -> None:
    """An invoice is never paid and void."""
    use(clickhouse)
    (made, *_) = close_periods(clickhouse, Request(), NOW).issued
    ready = threading.Barrier(4)

    def change(status: Status) -> str:
        connection = connect(clickhouse_settings)
        try:
            ready.wait()
            return change_status(connection, made, Change(status, NOW, "ada")).status
        except Denied:
            return "denied"
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(change, [Status.PAID, Status.VOID, Status.PAID, Status.VOID]))
    (after,) = invoices_of(clickhouse, made.draft.account_id)
    assert set(got) == {after.status, "denied"}
    assert after.status in (Status.PAID, VOID)
    assert clickhouse.scalar("SELECT count() FROM stored_invoice_statuses") == 1
