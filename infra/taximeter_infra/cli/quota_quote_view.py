"""How a quote looks in a terminal: the run by each meter, then its largest nodes. All of it is in the JSON."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import typer
from rich.markup import escape

from taximeter_infra.cli.quota_ask_view import plain_table
from taximeter_infra.cli.report_view import wide_console
from taximeter_schemas.money import shown
from taximeter_schemas.quota.answers import Answer, Quotation, QuotedNode
from taximeter_schemas.quota.meters import COST, ZERO
from taximeter_schemas.quota.wording import amount_of, moment_of

_TOKENS = "total_tokens"
_MOST_NODES = 20


def show_quote(answer: Answer) -> None:
    """The quantiles, of the whole run and of its nodes."""
    found = answer.quotation
    if found is None or not found.runs:
        since = "" if found is None else f" of {found.workflow_id} since {moment_of(found.since)}"
        typer.echo(f"the rollups have no finished run{since}: look at --workflow and --account")
        return
    table = plain_table(("a run uses", "p50", "p95"), left=1)
    for meter in found.p95:
        if found.p95[meter]:
            table.add_row(escape(meter), *_pair(found.p50, found.p95, meter))
    wide_console().print(table)
    _show_nodes(found)
    typer.echo(f"by {found.runs:,} finished runs since {moment_of(found.since)}")
    if found.lacking:
        typer.echo(f"the cost of {found.lacking:,} of them is not all known: expect more")


def _show_nodes(found: Quotation) -> None:
    largest = sorted(found.nodes, key=_size, reverse=True)
    table = plain_table(("node", "type", "runs", "tokens p50", "tokens p95", "cost p50", "cost p95"), left=2)
    for node in largest[:_MOST_NODES]:
        about = (escape(node.node_id), escape(node.node_type), f"{node.runs:,}")
        table.add_row(*about, *_pair(node.p50, node.p95, _TOKENS), *_pair(node.p50, node.p95, COST))
    if largest:
        wide_console().print(table)
    if len(largest) > _MOST_NODES:
        typer.echo(f"{len(largest) - _MOST_NODES:,} smaller nodes are not shown; --json has all, by every meter")


def _size(node: QuotedNode) -> tuple[Decimal, Decimal]:
    return node.p95.get(COST, ZERO), node.p95.get(_TOKENS, ZERO)


def _pair(p50: Mapping[str, Decimal], p95: Mapping[str, Decimal], meter: str) -> tuple[str, str]:
    show = shown if meter == COST else amount_of
    return show(p50.get(meter, ZERO)), show(p95.get(meter, ZERO))
