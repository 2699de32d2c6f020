"""Quick forms of two faults of the chaos harness: the limit holds while those who decide are killed or stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from tests.chaos.sound import sound

from chaos.checks import judge
from chaos.faults.fault import Inject
from chaos.faults.quota_executors import service_stopped
from chaos.faults.quota_reservers import under_fire, without_events
from chaos.quota.evidence import QuotaEvidence, gather_quotas
from chaos.world import Input, open_world
from taximeter_infra.stack.plan import StackAddresses

pytestmark = [pytest.mark.integration, pytest.mark.long]


def tried(fault: Inject, addresses: StackAddresses, folder: Path) -> QuotaEvidence:
    """The fault alone, without events beside it, and what its checks look at; they must find nothing."""
    with open_world(addresses, folder, Input(seed=1)) as world:
        without_events(fault)(world, Random(1))
        assert world.injected
        found = gather_quotas(world.kafka, world.topics, world.quotas)
    problems = {name: told[:5] for name, told in judge(replace(sound(20), quotas=found)).items()}
    assert problems == {}
    return found


def test_64_reservers_never_overshoot_while_services_are_killed(local_stack: StackAddresses, tmp_path: Path) -> None:
    """Zero overshoot, every caller is told, nothing leaks, and each alert comes once."""
    found = tried(under_fire(3.0, (0.5, 1.5), 1.0), local_stack, tmp_path / "run")
    assert found.recount.accounts["busy"].overshoot == 0
    assert found.recount.accounts["busy"].holds


def test_executors_go_on_within_their_leases_without_the_service(local_stack: StackAddresses, tmp_path: Path) -> None:
    """What is used meanwhile is within what was leased, and what the policy lets pass is counted."""
    found = tried(service_stopped(1.5, executors=2), local_stack, tmp_path / "run")
    uses = [use for one in found.callers for use in one.uses]
    assert any(stop.since < use.at < stop.until for use in uses for stop in found.notes.stops)
