"""The product's own proof, beside ours: `taximeter audit --ingest` on the world of a run, once that command exists.

The verdict of `chaos.checks` never depends on it.
"""

from __future__ import annotations

from chaos.world import World
from taximeter_infra.cli.app import app

COMMAND = "audit"


def audited(world: World) -> dict[str, list[str]]:
    """What the product's audit finds, under the name `audit`; empty where all is well or the command is not there."""
    if COMMAND not in {
        command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands
    }:
        return {}
    audit = world.start_command("audit", "--ingest")
    world.await_condition(lambda: not audit.running, "the audit")
    return {} if audit.child.exit_code == 0 else {"audit": [audit.child.tail()]}
