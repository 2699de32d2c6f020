"""The product's own proof, beside ours: `taximeter audit` on the world of a run, from the log to the invoices.

The verdict of `chaos.checks` never depends on it.
"""

from __future__ import annotations

from chaos.world import World


def audited(world: World) -> dict[str, list[str]]:
    """What the product's audit finds, under the name `audit`; empty where it closes."""
    code, told = audit(world)
    return {} if code == 0 else {"audit": [told[-4_000:]]}


def audit(world: World, *options: str) -> tuple[int, str]:
    """Runs it. Returns the exit code and what it said."""
    process = world.start_command("audit", *options)
    process.may_fail = True
    world.await_condition(lambda: not process.running, "the audit")
    return process.child.exit_code or 0, process.log()
