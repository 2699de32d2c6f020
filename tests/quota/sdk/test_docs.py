"""The Python examples of docs/quota.md run as they stand, against a real service."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.quota.sdk.conftest import AGO, Site

import taximeter
from taximeter.quota import QuotaSettings
from taximeter.testing import RecordedMeter
from taximeter_consumers.quota.plans import named_level
from taximeter_consumers.quota.plans.assignments import Assignment
from taximeter_consumers.quota.plans.plans import Limit, QuotaPlan
from taximeter_consumers.quota.plans.setting_rows import append
from taximeter_schemas.quota.limits import Window

_PAGE = Path(__file__).parents[3] / "docs" / "quota.md"
pytestmark = pytest.mark.integration


def test_the_examples_run_and_meter_what_they_say(
    serving: Site, recorded: RecordedMeter, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the order of the page, in one process, as an account that has room: nothing is denied or left unanswered."""
    for name, value in serving.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TAXIMETER_QUOTA_FIRST_LEASE_SECONDS", "15")
    monkeypatch.setenv("TAXIMETER_QUOTA_ANSWER_SECONDS", "20")
    monkeypatch.setattr(taximeter.Meter, "from_environment", lambda: recorded.meter)
    limit = Limit("for-docs", "most", AGO, "total_tokens", Window.MONTH, Decimal(5_000_000))
    append(serving.clickhouse, [QuotaPlan("for-docs", AGO, "For docs"), limit])
    append(serving.clickhouse, [Assignment(named_level.account("acme"), AGO, "for-docs")])
    blocks = re.findall(r"^```python\n(.*?)^```$", _PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 6
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(_PAGE), "exec"), names)
    by_node = recorded.by_node()
    assert {name: len(events) for name, events in by_node.items()} == {
        "summarise": 2,
        "classify": 1,
        "translate": 1,
        "sort": 1,
    }
    assert all(event.transaction_id for events in by_node.values() for event in events)
    said = capsys.readouterr().out
    assert "nobody answered" not in said
    assert "has used" not in said


def test_the_settings_are_those_of_the_page() -> None:
    """Each with its default."""
    lines = re.findall(r"^\| `TAXIMETER_QUOTA_.*", _PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    rows = [[cell.strip(" `") for cell in line.split("|")[1:3]] for line in lines]
    fields = QuotaSettings.model_fields
    assert [name for name, _ in rows] == [f"TAXIMETER_QUOTA_{field.upper()}" for field in fields]
    for name, default in rows:
        value = fields[name.removeprefix("TAXIMETER_QUOTA_").lower()].get_default(call_default_factory=True)
        assert str(value or "").removesuffix(".0") == default
