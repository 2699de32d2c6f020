"""A bill held against what is stored, on a real ClickHouse, by function and by command."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from tests.conservation.storage import START, Storage
from typer.testing import CliRunner

from taximeter_consumers.reconcile import Agreement, Measure, Reason, Reconciliation, read_bill, reconcile
from taximeter_infra.cli.app import app
from taximeter_schemas.errors import Misconfigured
from taximeter_schemas.settings import ClickHouseSettings

DAY = "2026-11-02"


def compared(storage: Storage, text: str, provider: str | None = "openai") -> Reconciliation:
    """A bill of lines under the plain heading, compared."""
    heading = "date,model,cost_usd,input_tokens,output_tokens\n"
    return reconcile(storage.clickhouse, read_bill((heading + text).splitlines(), provider), Agreement())


def filled(storage: Storage) -> Storage:
    """Two sound calls, one that failed, one of unknown use, one that was seen in part, one of a reseller."""
    unknown = {"quality": "missing", "input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    storage.store(
        [
            storage.event(model="gpt-4o-2024-08-06"),
            storage.event(),
            storage.event(run_id="r2", outcome="error"),
            storage.event(run_id="r3", **unknown),
            storage.event(run_id="r4", quality="partial"),
            storage.event(provider="azure"),
            storage.event(occurred_at=START + timedelta(days=1)),
        ]
    )
    storage.roll_up()
    return storage


def test_a_bill_that_says_the_same_agrees(storage: Storage) -> None:
    """Dated names and undated ones are one model; a reseller's calls are on another bill."""
    found = compared(filled(storage), f"{DAY},gpt-4o-2024-08-06,5.04,,\n2026-11-03,gpt-4o,1.26,,\n")
    assert found.agrees
    assert [(one.day.model, one.residual) for one in found.differences] == [("gpt-4o", 0), ("gpt-4o", 0)]
    assert found.differences[0].day.metered.calls == 5


def test_a_dearer_bill_is_attributed_to_calls_of_unknown_use(storage: Storage) -> None:
    """The call that nobody measured cost what a sound one costs, and its run is named."""
    (found,) = compared(filled(storage), f"{DAY},gpt-4o,6.30,,\n").differences
    assert (found.metered, found.residual, found.unexplained) == (Decimal("5.04"), Decimal("1.26"), 0)
    best = {one.doubt.reason: one for one in found.candidates}
    assert best[Reason.UNMEASURED].could_explain == Decimal("1.26")
    assert best[Reason.UNMEASURED].doubt.run_id == "r3"
    assert Reason.FAILED not in best


def test_a_cheaper_bill_is_attributed_to_calls_that_failed(storage: Storage) -> None:
    """A provider need not bill what broke off; what was seen in part may be less."""
    (found,) = compared(filled(storage), f"{DAY},gpt-4o,3.00,,\n").differences
    assert (found.residual, found.explained) == (Decimal("-2.04"), Decimal("-2.04"))
    assert {(one.doubt.reason, one.doubt.run_id) for one in found.candidates} == {
        (Reason.FAILED, "r2"),
        (Reason.ESTIMATED, "r4"),
    }


def test_what_nobody_metered_and_nobody_billed_is_told(storage: Storage) -> None:
    """A model that only the bill has, and one that only the meter has."""
    found = compared(filled(storage), f"{DAY},web search,0.10,,\n")
    assert [(one.day.model, one.metered, one.billed) for one in found.differences] == [
        ("gpt-4o", Decimal("5.04"), 0),
        ("web search", 0, Decimal("0.10")),
    ]
    assert not found.agrees


def test_residuals_do_not_offset_each_other(storage: Storage) -> None:
    """Too much on one day and too little on the next is no agreement."""
    found = compared(filled(storage), f"{DAY},gpt-4o,5.54,,\n2026-11-03,gpt-4o,0.76,,\n")
    assert (found.metered, found.billed, found.residual) == (Decimal("6.30"), Decimal("6.30"), Decimal("1.00"))
    assert not found.agrees


def test_tokens_are_compared_where_a_bill_has_no_cost(storage: Storage) -> None:
    """Usage exports state tokens alone."""
    text = "start_time,model,num_model_requests,input_tokens,output_tokens\n1793577600,gpt-4o,5,2000000,4000\n"
    found = reconcile(filled(storage).clickhouse, read_bill(text.splitlines()), Agreement())
    assert (found.measure, found.agrees, found.billed) == (Measure.TOKENS, True, 2_004_000)


def test_a_bill_without_models_is_compared_day_by_day(storage: Storage) -> None:
    """And a bill of nobody in particular has every provider's calls on it."""
    text = f"date,cost_usd\n{DAY},6.30\n"
    found = reconcile(filled(storage).clickhouse, read_bill(text.splitlines()), Agreement())
    assert [(one.day.model, one.metered) for one in found.differences] == [("", Decimal("6.30"))]


def test_days_without_a_line_are_refused(storage: Storage) -> None:
    """Nothing billed is a mistake in the days more often than an agreement."""
    with pytest.raises(Misconfigured, match="no line in these days"):
        compared(storage, "")


def test_the_command_exits_by_it(
    storage: Storage, clickhouse_settings: ClickHouseSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """0 within the tolerance, 3 beyond it, 1 and the missing columns for what is no bill, 2 for what is no share."""
    monkeypatch.setenv("CLICKHOUSE_URL", clickhouse_settings.url.get_secret_value())
    monkeypatch.setenv("CLICKHOUSE_DATABASE", clickhouse_settings.database)
    monkeypatch.setenv("COLUMNS", "200")
    filled(storage)
    file = tmp_path / "bill.csv"
    file.write_text(f"\ufeffdate,model,cost_usd\n{DAY},gpt-4o,5.05\n", encoding="utf-8")
    words = ["reconcile", "--provider-bill", str(file), "--provider", "openai"]
    runner = CliRunner()
    agreed = runner.invoke(app, words)
    assert agreed.exit_code == 0, agreed.output
    assert agreed.stdout.splitlines()[-1] == "agrees within 0.50 % of the bill"
    assert "could explain" in agreed.stdout
    strict = runner.invoke(app, [*words, "--tolerance", "0.1%", "--json", "--top", "1"])
    assert strict.exit_code == 3
    said = json.loads(strict.stdout)
    assert (said["agrees"], said["metered"], said["residual"]) == (False, "5.04", "0.01")
    assert said["differences"][0]["candidates"][0]["run_id"] in ("r3", "r4")
    assert runner.invoke(app, [*words, "--tolerance", "some"]).exit_code == 2
    file.write_text("model,cost_usd\nm,1\n", encoding="utf-8")
    wrong = runner.invoke(app, words)
    assert wrong.exit_code == 1
    assert "no column for the day" in wrong.stderr
    assert runner.invoke(app, ["reconcile", "--provider-bill", str(tmp_path / "none.csv")]).exit_code == 1
