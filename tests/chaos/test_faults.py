"""Every fault once, on the real servers; every mutation of the sink turns the harness red."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos import report
from chaos.faults import all_faults
from chaos.mutations import MUTATIONS, command
from chaos.scenario import Run, carry_out
from chaos.servers import open_servers
from taximeter_infra.stack.plan import StackAddresses

FAULTS = all_faults()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a run keeps its journal and logs."""
    return tmp_path / "run"


@pytest.mark.integration
@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.tested and not fault.own_servers])
def test_a_fault_changes_no_number(name: str, local_stack: StackAddresses, folder: Path) -> None:
    """After the fault every event, sum, rollup, range and dead letter is as the journal says."""
    outcome = carry_out(Run(FAULTS[name], seed=2), local_stack, folder)
    assert outcome.green, report.told(outcome)


@pytest.mark.integration
@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.tested and fault.own_servers])
def test_a_fault_of_the_servers_changes_no_number(name: str, tmp_path: Path) -> None:
    """The same, on servers that nobody else uses, which are killed, stopped or filled up."""
    with open_servers(tmp_path, lambda _: None) as servers:
        outcome = servers.carry_out(Run(FAULTS[name], seed=2))
    assert outcome.green, report.told(outcome)


def test_a_mutated_sink_that_fails_is_not_caught() -> None:
    """One that does not start leaves every row missing, whatever was built into it."""
    for mutation in MUTATIONS.values():
        red = {name: ["missing"] for name in mutation.red}
        assert mutation.caught(red)
        assert not mutation.caught({**red, "processes": ["2 sink ended with code 1"]})
        assert not mutation.caught({"batches": ["another"]})


@pytest.mark.long
@pytest.mark.integration
@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_a_mutation_is_caught(name: str, local_stack: StackAddresses, folder: Path) -> None:
    """A sink with a fault built in does not pass."""
    mutation = MUTATIONS[name]
    seen: set[str] = set()
    for seed in range(1, 5):
        run = Run(FAULTS[mutation.faults[0]], seed, sink_command=command(name))
        problems = carry_out(run, local_stack, folder / str(seed)).problems
        if mutation.caught(problems):
            return
        seen |= problems.keys()
    pytest.fail(f"{name} was not caught; red were {seen}")
