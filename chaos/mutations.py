"""Mutations: faults built into the sink on purpose. The harness is sound only if it turns red for each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Mutation:
    """What is wrong with the sink, the faults that expose it, and the checks of which one at least must be red."""

    breaks: str
    faults: tuple[str, ...]
    red: frozenset[str]

    def caught(self, problems: Mapping[str, Sequence[str]]) -> bool:
        """Whether a run with these problems has caught it. A sink that failed proves nothing: one that does not even
        start leaves every row missing."""
        failed = any(" sink ended" in told for told in problems.get("processes", ()))
        return bool(self.red & problems.keys()) and not failed


MUTATIONS: Final[Mapping[str, Mutation]] = {
    "window_zero": Mutation(
        "a plain MergeTree that remembers no block: nothing recognises a repeated insert",
        ("sink_killed_after_insert", "sink_killed_after_ledger"),
        frozenset({"rows", "copies"}),
    ),
    "resume_by_max_offset": Mutation(
        "a sink that goes on after the greatest offset in the table, which has partitions by date",
        ("sink_killed_after_insert", "sink_killed_at_random"),
        frozenset({"rows", "tiles"}),
    ),
    "commit_before_insert": Mutation(
        "a sink that commits a batch and inserts it then",
        ("sink_killed_after_intent", "sink_killed_at_random"),
        frozenset({"rows", "tiles"}),
    ),
    "no_offset_guard": Mutation(
        "an insert that does not look whether records are read in step",
        ("misaligned_records",),
        frozenset({"rows", "dead_letters"}),
    ),
}


def command(name: str) -> tuple[str, ...]:
    """The command of the sink with that mutation, after the interpreter."""
    return ("-m", "chaos.mutated_sink", name, "sink")
