"""How the pipeline looks: a table on a terminal, plain lines elsewhere, JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from taximeter_infra.stack.part import PartHealth
from taximeter_infra.stack.plan import StackAddresses, without_credentials
from taximeter_infra.status.facts import Trouble
from taximeter_infra.status.verdicts import overall

if TYPE_CHECKING:
    from rich.console import Console

    from taximeter_infra.status.facts import Facts
    from taximeter_infra.status.verdicts import Line


def show_lines(console: Console, lines: Sequence[Line]) -> None:
    """One line for each verdict, its mend below."""
    if console.is_terminal:
        console.print(table_of(lines))
        return
    for line in plain(lines):
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def table_of(lines: Sequence[Line]) -> Table:
    """For a terminal; colours stand beside words, never in their place."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for line in lines:
        said = escape(line.said) + (f"\n[dim]mend:[/dim] {escape(line.mend)}" if line.mend else "")
        table.add_row(f"[{line.level.word}]{line.level.word}[/]", line.name, said)
    return table


def plain(lines: Sequence[Line]) -> list[str]:
    """For a file or a pipe."""
    told = []
    for line in lines:
        told.append(f"{line.level.word:<7} {line.name}: {line.said}")
        if line.mend:
            told.append(f"        mend: {line.mend}")
    return told


def status_json(
    addresses: StackAddresses | None, parts: Sequence[PartHealth], lines: Sequence[Line], facts: Facts
) -> dict[str, Any]:
    """`taximeter status --json`: no password in it. What could not be seen is an object with its `problem`."""
    told: dict[str, Any] = {"running": addresses is not None}
    if addresses is not None:
        url = without_credentials(addresses.clickhouse_url.get_secret_value())
        told["addresses"] = addresses.as_json() | {"clickhouse_url": url}
    seen = asdict(facts)
    del seen["at"]
    verdicts = [asdict(line) | {"level": line.level.word} for line in lines]
    return told | {
        "parts": [asdict(part) for part in parts],
        "level": overall(lines).word,
        "lines": verdicts,
        "facts": seen,
    }


def parts_of(addresses: StackAddresses, facts: Facts) -> list[PartHealth]:
    """The parts of the local stack, as a look found them."""
    cluster, server = facts.cluster, facts.server
    where = addresses.bootstrap_servers
    product = f"{addresses.broker_product} {addresses.broker_version}"
    if isinstance(cluster, Trouble):
        kafka = PartHealth("kafka", product, "down", f"no answer from {where}")
    else:
        kafka = PartHealth("kafka", product, "up", f"{where}, {cluster.topics} topics")
    product = f"ClickHouse {addresses.clickhouse_version}"
    where = without_credentials(addresses.clickhouse_url.get_secret_value())
    if isinstance(server, Trouble):
        return [kafka, PartHealth("clickhouse", product, "down", f"no answer from {where}")]
    return [kafka, PartHealth("clickhouse", product, "up", where)]
