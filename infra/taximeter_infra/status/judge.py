"""Facts of a look, and of the one before, into verdicts. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taximeter_infra.status import judge_flow, judge_rest, judge_servers

if TYPE_CHECKING:
    from taximeter_infra.status.facts import Facts
    from taximeter_infra.status.verdicts import Line


def judge(facts: Facts, before: Facts | None = None) -> list[Line]:
    """The verdicts, in the order of the flow."""
    lines = [
        judge_servers.broker(facts),
        judge_servers.clickhouse(facts),
        judge_servers.topics(facts),
        judge_servers.tables(facts),
        judge_flow.sink(facts, before),
        judge_flow.letters(facts),
        judge_flow.rollups(facts),
        judge_flow.quota(facts, before),
        judge_rest.costs(facts),
        judge_rest.rebuilding(facts),
        judge_rest.spool(facts.spool),
        judge_rest.rates(facts, before),
        *judge_rest.services(facts),
    ]
    return [line for line in lines if line is not None]
