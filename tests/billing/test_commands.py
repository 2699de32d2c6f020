"""`taximeter invoice` and `taximeter billing` as their users call them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import Result
from tests.billing.charges import Used, charge
from typer.testing import CliRunner

from taximeter_consumers.billing.closing import follow_periods
from taximeter_consumers.billing.periods import Month, last_closed
from taximeter_consumers.clickhouse import ClickHouse
from taximeter_infra.cli.app import app
from taximeter_infra.stack.waiting import wait_until
from taximeter_schemas.settings import ClickHouseSettings

pytestmark = pytest.mark.integration

Taximeter = Callable[..., Result]


@pytest.fixture
def taximeter(
    clickhouse: ClickHouse, clickhouse_settings: ClickHouseSettings, monkeypatch: pytest.MonkeyPatch
) -> Taximeter:
    """Runs a command on the test's database."""
    monkeypatch.setenv("CLICKHOUSE_URL", clickhouse_settings.url.get_secret_value())
    monkeypatch.setenv("CLICKHOUSE_DATABASE", clickhouse_settings.database)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def answer(result: Result) -> dict[str, object]:
    """The JSON of a command that went well."""
    assert result.exit_code == 0, result.stderr
    said: dict[str, object] = json.loads(result.stdout)
    return said


def last_month() -> str:
    """The last period that is closed by now for an account without terms."""
    return last_closed((), datetime.now(UTC)).label


def in_month(label: str) -> datetime:
    """A moment of a month."""
    month = Month.of_label(label)
    return datetime(month.year, month.month, 5, tzinfo=UTC)


def test_from_plan_to_paid_invoice(clickhouse: ClickHouse, taximeter: Taximeter, tmp_path: Path) -> None:
    """What a billing clerk does in a month."""
    label = last_month()
    charge(clickhouse, Used(at=in_month(label), quantity=Decimal(40_000_000)))
    assert taximeter("billing", "plan", "pro", "--fee", "99", "--included", "50").exit_code == 0
    begin = f"{label}-01"
    words = ("billing", "account", "acme", "--plan", "pro", "--name", "Acme Inc.", "--from", begin)
    assert taximeter(*words).exit_code == 0
    assert taximeter("billing", "add-on", "acme", "Support", "--fee", "9.50", "--from", begin).exit_code == 0
    assert taximeter("billing", "credit", "acme", "20", "--from", begin, "--id", "hello").exit_code == 0
    (draft,) = answer(taximeter("invoice", "run", "--dry-run", "--json"))["drafts"]  # type: ignore[misc]  # a list
    assert draft["totals"]["due_usd"] == "138.5"
    (issued,) = answer(taximeter("invoice", "run", "--period", label, "--json"))["issued"]  # type: ignore[misc]  # a list
    assert issued["totals"] == draft["totals"]
    again = answer(taximeter("invoice", "run", "--json"))
    assert (again["issued"], len(again["existing"])) == ([], 1)  # type: ignore[arg-type]  # a list
    shown = taximeter("invoice", "show", "1").stdout
    assert "40,000,000 input tokens" in shown
    assert "Amount due (USD): $138.50" in shown
    for form, start in {"json": b"{", "csv": b"invoice_id", "html": b"<!DOCTYPE html>", "pdf": b"%PDF-"}.items():
        path = tmp_path / f"invoice.{form}"
        assert taximeter("invoice", "export", "INV-000001", "-f", form, "-o", path).exit_code == 0
        assert path.read_bytes().startswith(start)
    assert taximeter("invoice", "export", "1", "-f", "csv").stdout.startswith("invoice_id,")
    assert taximeter("invoice", "pay", "1", "--note", "bank").stdout == "INV-000001 is paid\n"
    (head,) = answer(taximeter("invoice", "list", "--status", "paid", "--json"))["invoices"]  # type: ignore[misc]  # a list
    assert (head["invoice_id"], head["due_usd"]) == ("INV-000001", "138.5")
    refused = taximeter("invoice", "void", "1")
    assert (refused.exit_code, "grant a credit" in refused.stderr) == (1, True)
    account = answer(taximeter("billing", "account", "acme", "--json"))
    assert [one["left_usd"] for one in account["credits"]] == ["0"]  # type: ignore[attr-defined]  # a list
    assert "$0 left of $20" in taximeter("billing", "credit", "acme").stdout
    assert taximeter("billing", "plan").stdout == "pro from 1970-01-01: pro, $99 per period, $50 included\n"
    assert taximeter("billing", "add-on", "acme", "Support", "--end", "0s").exit_code == 0
    assert "add-on: Support" in taximeter("billing", "account", "acme").stdout


def test_the_month_that_runs_is_refused(clickhouse: ClickHouse, taximeter: Taximeter) -> None:
    """With the time from when on it can be closed."""
    label = f"{datetime.now(UTC):%Y-%m}"
    charge(clickhouse, Used(at=in_month(label)))
    refused = taximeter("invoice", "run", "--period", label)
    assert refused.exit_code == 1
    assert "mend: wait until then" in refused.stderr
    assert "acme" in taximeter("invoice", "run", "--period", label, "--dry-run").stdout
    assert taximeter("invoice", "list").stdout == "no invoices\n"


def test_an_invoice_that_somebody_changed_is_told(clickhouse: ClickHouse, taximeter: Taximeter) -> None:
    """Its digest does not fit: exit code 3."""
    charge(clickhouse, Used(at=in_month(last_month())))
    assert taximeter("invoice", "run").exit_code == 0
    assert taximeter("invoice", "show", "1").exit_code == 0
    change = "ALTER TABLE stored_invoices UPDATE system_usd = 1 WHERE number = 1"
    clickhouse.execute(change, settings={"mutations_sync": 2})
    assert taximeter("invoice", "show", "1").exit_code == 3


@pytest.mark.parametrize(
    "words",
    [
        ("invoice", "run", "--follow", "--dry-run"),
        ("billing", "credit", "acme", "--", "-5"),
        ("billing", "credit", "acme", "0.0000000000000000001"),
        ("billing", "account", "acme", "--anchor-day", "29"),
        ("billing", "account", "acme", "--from", "2026-12-01"),
        ("billing", "plan", "--fee", "9"),
        ("billing", "add-on", "acme", "Support"),
    ],
)
def test_wrong_usage_is_refused(taximeter: Taximeter, words: tuple[str, ...]) -> None:
    """Before anything is asked of ClickHouse."""
    assert taximeter(*words).exit_code == 2


@pytest.mark.parametrize("words", [("show", "7"), ("show", "INV-x"), ("pay", "7"), ("run", "--period", "November")])
def test_what_is_not_there_is_told(taximeter: Taximeter, words: tuple[str, ...]) -> None:
    """With the mend."""
    result = taximeter("invoice", *words)
    assert result.exit_code == 1
    assert "mend:" in result.stderr


def test_following_closes_what_has_become_due_and_stops_when_told(
    clickhouse: ClickHouse, clickhouse_settings: ClickHouseSettings, tmp_path: Path
) -> None:
    """A day after the period ended, without being asked; SIGTERM ends it in order."""
    label = last_month()
    charge(clickhouse, Used(at=in_month(label)), Used(account_id="late", at=datetime.now(UTC) - timedelta(minutes=15)))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "CLICKHOUSE_URL": clickhouse_settings.url.get_secret_value(),
        "CLICKHOUSE_DATABASE": clickhouse_settings.database,
    }
    command = [sys.executable, "-m", "taximeter_infra", "invoice", "run", "--follow", "--interval", "0.1"]
    logs = tmp_path / "logs"
    with logs.open("w") as said, subprocess.Popen(command, env=environment, stderr=said) as process:
        try:
            assert wait_until(lambda: clickhouse.scalar("SELECT count() FROM invoices") == 1, 60)
            charge(clickhouse, Used(account_id="second", at=in_month(label)))
            assert wait_until(lambda: clickhouse.scalar("SELECT count() FROM invoices") == 2, 60)
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    events = [json.loads(line) for line in logs.read_text().splitlines()]
    assert [(event["event"], event["account"]) for event in events] == [
        ("invoice issued", "acme"),
        ("invoice issued", "second"),
    ]


class AfterOne(threading.Event):
    """Set by the time that it is looked at for the third time: once for the round, once for each account."""

    looks = 0

    def is_set(self) -> bool:
        self.looks += 1
        return self.looks > 2


def test_a_stop_waits_for_the_account_in_hand_alone(clickhouse: ClickHouse) -> None:
    """The other account is left to the next run."""
    at = in_month(last_month())
    charge(clickhouse, Used(at=at), Used(account_id="second", at=at))
    charge(clickhouse, Used(account_id="late", at=datetime.now(UTC) - timedelta(minutes=15)))
    follow_periods(clickhouse, AfterOne(), 0.0)
    assert clickhouse.rows("SELECT account_id FROM invoices") == [("acme",)]
