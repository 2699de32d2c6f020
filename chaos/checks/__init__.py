"""The verdict: a list of checks, each from evidence to what is wrong with it, in words. Pure.

A check of the product's own (`taximeter audit --ingest`) runs as a process, so it is in `chaos.audit`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from chaos.checks import invoices, ledger, metered, quotas, rollups, rows, topics
from chaos.evidence import ROLLUPS, Evidence

Check = Callable[[Evidence], list[str]]


def processes_ended_well(evidence: Evidence) -> list[str]:
    """Whatever was not killed ended with 0."""
    return [f"{name} ended with code {code}" for name, code in evidence.ends.items()]


def fault_happened(evidence: Evidence) -> list[str]:
    """A run in which nothing was broken proves nothing."""
    return [] if evidence.injected else ["the fault did not happen"]


CHECKS: Final[Mapping[str, Check]] = {
    "fault": fault_happened,
    "processes": processes_ended_well,
    "journal": topics.journal_acknowledged,
    "metered": metered.metered_exactly,
    "rows": rows.rows_equal,
    "sums": rows.sums_equal,
    **{name: rollups.rollup_check(name) for name in ROLLUPS},
    "rolled_up": ledger.all_rolled_up,
    "invoices": invoices.invoices_exact,
    "dead_letters": topics.dead_letters_equal,
    "tiles": ledger.ranges_tile,
    "batches": ledger.batches_hold_what_they_say,
    "copies": ledger.no_sink_copies,
    **{name: quotas.quota_check(check) for name, check in quotas.CHECKS.items()},
}


def judge(evidence: Evidence, waived: Mapping[str, str] | None = None) -> dict[str, list[str]]:
    """What each check that is not waived found; an empty dictionary is the proof."""
    found = {name: check(evidence) for name, check in CHECKS.items() if name not in (waived or {})}
    return {name: problems for name, problems in found.items() if problems}
