"""Quick forms of two faults of the chaos harness: the limit holds while those who decide are killed or stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chaos import report
from chaos.faults import all_faults
from chaos.faults.quota_executors import service_stopped
from chaos.faults.quota_reservers import under_fire, without_events
from chaos.scenario import Run, carry_out
from taximeter_infra.stack.plan import StackAddresses

pytestmark = pytest.mark.integration

FAULTS = all_faults()


def test_64_reservers_never_overshoot_while_services_are_killed(local_stack: StackAddresses, tmp_path: Path) -> None:
    """Zero overshoot, every caller is told, nothing leaks, and each alert comes once."""
    fault = replace(FAULTS["quota_reservers_under_fire"], inject=without_events(under_fire(4.0, (0.5, 1.5), 1.5)))
    outcome = carry_out(Run(fault, seed=1), local_stack, tmp_path / "run")
    assert outcome.green, report.told(outcome)
    assert outcome.facts["quota_answers"]["granted"] > 0


def test_executors_go_on_within_their_leases_without_the_service(local_stack: StackAddresses, tmp_path: Path) -> None:
    """What is used meanwhile is within what was leased, and what the policy lets pass is counted."""
    fault = replace(FAULTS["quota_service_stopped"], inject=without_events(service_stopped(2.0, executors=2)))
    outcome = carry_out(Run(fault, seed=1), local_stack, tmp_path / "run")
    assert outcome.green, report.told(outcome)
    assert outcome.facts["quota_uses_without_service"] > 0
