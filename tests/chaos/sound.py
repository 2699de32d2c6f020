"""Evidence of a run in which everything held, made in memory, and ways to spoil one thing in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from chaos.checks.rollups import columns_of, expected_rollup
from chaos.evidence import ROLLUPS, Copies, Evidence, Range
from chaos.journal import Ack, Entry, Written
from chaos.streams import plain
from chaos.topic_log import Record
from chaos.truth import SUMMED, row_of

TOPIC = "t.events"
PARTITIONS = 3
BATCH = 7
# With this seed some of the entries are no events.
SEED = 54


def sound(count: int = 120) -> Evidence:
    """What a faultless pipeline leaves behind."""
    entries = [_reserved(entry) for entry in plain(SEED, count)]
    bad = [Entry(len(entries) + at, "k", b"\xff%d" % at, counts=False) for at in range(2)]
    entries += bad
    log = [Record(entry.number % PARTITIONS, entry.number // PARTITIONS, entry.value, {}) for entry in entries]
    acks = {entry.number: Ack(entry.number, *record.place) for entry, record in zip(entries, log, strict=True)}
    written = Written({entry.number: entry for entry in entries}, acks)
    ranges, by_batch = _ledger(entries)
    events = [entry for entry in entries if entry.event is not None]
    evidence = Evidence(
        written=written,
        log=sorted(log, key=lambda record: record.place),
        letters=[_letter(record) for entry, record in zip(entries, log, strict=True) if entry.event is None],
        rows=[row_of(entry.event) for entry in events if entry.event is not None],
        sums=_sums(events),
        ranges=ranges,
        copies=Copies(len(events), len(events), by_batch),
        rollups={},
        topic=TOPIC,
        injected=("nothing, for a test",),
    )
    return replace(evidence, rollups={name: _shown(name, evidence) for name in ROLLUPS})


def _reserved(entry: Entry) -> Entry:
    """Every third run is done under a hold."""
    if entry.event is None or int(entry.event["run_id"].replace("-", ""), 16) % 3:
        return entry
    return replace(entry, event={**entry.event, "transaction_id": f"hold-{entry.event['run_id']}"})


def _shown(name: str, evidence: Evidence) -> list[dict[str, Any]]:
    columns = columns_of(name)
    return [
        {
            **dict(zip(columns, key, strict=True)),
            **{column: min(value) if isinstance(value, frozenset) else value for column, value in row.items()},
        }
        for key, row in expected_rollup(name, evidence).items()
    ]


def _sums(events: Sequence[Entry]) -> dict[str, dict[str, Any]]:
    sums: dict[str, dict[str, Any]] = {}
    for entry in events:
        assert entry.event is not None
        row = row_of(entry.event)
        one = sums.setdefault(row["account_id"], {"events": 0, "reported_cost": None, "custom_units": defaultdict(int)})
        one["events"] += 1
        for name in SUMMED:
            one[name] = one.get(name, 0) + row[name]
        if row["reported_cost"] is not None:
            one["reported_cost"] = (one["reported_cost"] or 0) + row["reported_cost"]
        for unit, amount in row["custom_units"].items():
            one["custom_units"][unit] += amount
    return sums


def _ledger(entries: Sequence[Entry]) -> tuple[list[Range], dict[int, int]]:
    ranges: list[Range] = []
    by_batch: dict[int, int] = {}
    for partition in range(PARTITIONS):
        placed = [entry for entry in entries if entry.number % PARTITIONS == partition]
        for first in range(0, len(placed), BATCH):
            chunk = placed[first : first + BATCH]
            stored = sum(entry.event is not None for entry in chunk)
            batch = len(ranges) + 1
            ranges.append(
                Range(partition, first, first + len(chunk) - 1, batch, len(chunk), stored, len(chunk) - stored)
            )
            by_batch[batch] = stored
    return ranges, by_batch


def _letter(record: Record) -> Record:
    headers = {
        "taximeter-reason": "not_framed",
        "taximeter-source-topic": TOPIC,
        "taximeter-source-partition": str(record.partition),
        "taximeter-source-offset": str(record.offset),
    }
    return Record(0, record.offset, record.value, headers)


def with_row(evidence: Evidence, **changed: Any) -> Evidence:
    """The first row of the events altered."""
    return replace(evidence, rows=[{**evidence.rows[0], **changed}, *evidence.rows[1:]])


def with_range(evidence: Evidence, at: int, change: Callable[[Range], Range]) -> Evidence:
    """One range of the ledger altered."""
    ranges = list(evidence.ranges)
    ranges[at] = change(ranges[at])
    return replace(evidence, ranges=ranges)
