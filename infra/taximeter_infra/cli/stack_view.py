"""How the stack looks on a terminal: tables for people, plain lines where there is no terminal."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from taximeter_infra.stack.doctor import Finding
from taximeter_infra.stack.part import PartHealth
from taximeter_infra.stack.plan import StackAddresses, without_credentials

COLOURS = {"up": "green", "ok": "green", "warn": "yellow", "starting": "yellow", "restarting": "yellow"}


def show_health(console: Console, health: Sequence[PartHealth]) -> None:
    """One row per part."""
    if not console.is_terminal:
        for part in health:
            console.print(f"{part.name}: {part.state}, {part.product}, {part.detail}", soft_wrap=True, markup=False)
        return
    table = Table("part", "state", "product", "where", box=None, pad_edge=False)
    for part in health:
        again = f" (restarted {part.restarts} x)" if part.restarts else ""
        table.add_row(part.name, _coloured(part.state) + again, escape(part.product), escape(part.detail))
    console.print(table)


def show_addresses(console: Console, addresses: StackAddresses) -> None:
    """Where to go from here; no password."""
    lines = {
        "Kafka": addresses.bootstrap_servers,
        "ClickHouse": without_credentials(addresses.clickhouse_url.get_secret_value()),
        "native": addresses.clickhouse_native or "(yours)",
        "analyst": f"{addresses.analyst_url} (read only, no password)",
        "data": str(addresses.data_dir),
    }
    for name, value in lines.items():
        console.print(f"{name + ':':<12}{value}", soft_wrap=True, markup=False, highlight=False)


def show_findings(console: Console, findings: Sequence[Finding]) -> None:
    """One row per finding, with the mend below where there is one."""
    for finding in findings:
        console.print(f"{_coloured(finding.status):<6} {escape(finding.name)}: {escape(finding.found)}", soft_wrap=True)
        if finding.mend:
            console.print(f"       mend: {finding.mend}", soft_wrap=True, markup=False, highlight=False)


def export_lines(addresses: StackAddresses) -> str:
    """Lines for `eval` in a shell. They hold the password."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in addresses.environment().items())


def _coloured(word: str) -> str:
    colour = COLOURS.get(word, "red")
    return f"[{colour}]{word}[/{colour}]"
