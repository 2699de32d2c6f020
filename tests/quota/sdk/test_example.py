"""The example that asks before it spends, against a real service."""

from __future__ import annotations

import pytest
from examples.ask_before_you_spend import estimate, sum_up
from tests.quota.sdk.conftest import Site

from examples import ask_before_you_spend
from taximeter.quota import QuotaGate
from taximeter.testing import RecordedMeter

pytestmark = pytest.mark.integration


def test_it_stops_before_the_limit_is_passed(serving: Site, recorded: RecordedMeter) -> None:
    """Some pages are done, within the limit, as parts of leases; then the reason is the sentence of the limit."""
    most = 5_000
    subject = serving.account(most)
    pages = ["word " * 200] * 50
    with QuotaGate(serving.client()) as gate:
        lines, refused = sum_up(recorded.meter, gate, subject.account_id, pages)
    used = sum(event.ai.total_tokens for event in recorded.events if event.ai is not None)
    assert 0 < len(lines) == len(recorded.events) < len(pages)
    assert most - 2 * estimate(pages[0])["total_tokens"] <= used <= most
    assert all(event.transaction_id for event in recorded.events)
    assert f"account/{subject.account_id} has used" in refused
    assert "of 5,000 total_tokens this month" in refused


def test_it_runs_as_a_command(
    serving: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the environment alone; exit code 0 where there is room, 3 and the reason where there is none."""
    for name, value in serving.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TAXIMETER_QUOTA_FIRST_LEASE_SECONDS", "15")
    assert ask_before_you_spend.main([serving.account(1_000_000).account_id, "--pages", "3"]) == 0
    assert capsys.readouterr().out == "3 of 3 pages\n"
    assert ask_before_you_spend.main([serving.account(10).account_id, "--pages", "3"]) == 3
    said = capsys.readouterr()
    assert said.out == "0 of 3 pages\n"
    assert "10 are left until" in said.err
