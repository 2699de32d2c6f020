"""docs/operations.md is true: every command of it is run as printed, in a shell, beside every service.

That every command and option of the page exists is what test_docs.py shows more quickly.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.docs.runbook import PAGE, blocks, run, runbook_world
from tests.quota.sdk.conftest import Site, new_site

__all__ = ["new_site"]  # a fixture of the quota SDK's tests: sites with a service that decides
pytestmark = [pytest.mark.integration, pytest.mark.long]


def test_every_command_of_the_runbook_works(new_site: Callable[[], Site], tmp_path: Path) -> None:
    """Block by block, in the order of the page; a block ends at its first command that fails."""
    printed = blocks(PAGE.read_text(encoding="utf-8"))
    assert printed
    with runbook_world(new_site(), tmp_path) as environment:
        for block in printed:
            done = run(block, environment, tmp_path)
            assert done.returncode == 0, (
                f"{block}\nended with {done.returncode}:\n{done.stdout[-2_000:]}\n{done.stderr[-4_000:]}"
            )
        # What the runbook has decided is open no more.
        lines = json.loads(run("taximeter status --json", environment, tmp_path).stdout)["lines"]
        assert [line["level"] for line in lines if line["name"] == "dead letters"] == ["green"]
