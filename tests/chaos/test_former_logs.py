"""A topic that was made anew: the verdict tells places of its logs apart."""

from __future__ import annotations

from dataclasses import replace

from tests.chaos.sound import sound

from chaos.checks import ledger, topics
from chaos.evidence import Range
from chaos.former_logs import APART, FormerLog, all_records, partition_in, places_of
from chaos.topic_log import Record

FORMER = FormerLog("old", [Record(0, 0, b"a", {}), Record(1, 7, b"b", {})])


def test_places_of_a_former_log_are_told_apart() -> None:
    """The same partition and offset in two logs are two places, found from either side."""
    records = all_records([Record(0, 0, b"new", {})], [FORMER])
    assert [record.place for record in records] == [(0, 0), (APART, 0), (APART + 1, 7)]
    assert places_of((0, 0), former=1) == [(0, 0), (APART, 0)]
    assert partition_in("old", 1, [FORMER]) == APART + 1
    assert partition_in("of now", 1, [FORMER]) == 1


def test_an_acknowledgement_may_be_of_a_former_log() -> None:
    """An entry whose bytes lie at its place in a deleted log is no problem; one that lies in neither is."""
    evidence = sound()
    moved = [replace(record, partition=record.partition + APART) for record in evidence.log]
    assert topics.journal_acknowledged(replace(evidence, log=moved, former_logs=1)) == []
    assert topics.journal_acknowledged(replace(evidence, log=moved, former_logs=0)) != []
    assert topics.journal_acknowledged(replace(evidence, log=moved[1:], former_logs=1)) != []


def test_every_record_of_a_former_log_is_in_a_range() -> None:
    """More than that may be entered under it; less is a loss."""
    evidence = replace(sound(), log=all_records([], [FORMER]), former_logs=1)
    whole = [Range(APART, 0, 3, 1, 4, 4, 0), Range(APART + 1, 0, 7, 2, 1, 1, 0)]
    assert ledger.ranges_tile(replace(evidence, ranges=whole)) == []
    assert ledger.ranges_tile(replace(evidence, ranges=whole[:1])) == [
        f"partition {APART + 1} of a former log: 7 is in no range"
    ]
