"""Metered events become entries like all others: an SDK gives an event its id, so the log tells what was sent.

Pure. That the log has the right ones is for the check `metered`; that ClickHouse shows them, for the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chaos.journal import Ack, Entry, Written
from chaos.meter_journal import Metered
from chaos.topic_log import Record
from taximeter_schemas.codec import decode, to_plain
from taximeter_schemas.errors import Poison
from taximeter_schemas.registry import PackagedRegistry


def with_metered(written: Written, log: Sequence[Record], metered: Sequence[Metered]) -> Written:
    """The journal, and behind it an entry for each metered event of the log, acknowledged where it first lies.

    A record that no metered node can have made stays out; the check `journal` then finds that nobody sent it.
    """
    if not metered:
        return written
    known = {entry.value for entry in written.entries.values()}
    nodes = {node.node_id for one in metered for node in one.nodes.values()}
    entries, acks = dict(written.entries), dict(written.acks)
    number = max(entries, default=-1) + 1
    for record in log:
        if record.value in known:
            continue
        entry = _entry(record)
        if entry is not None and entry.event is not None and entry.event["node_id"] in nodes:
            known.add(record.value)
            entries[number] = replace(entry, number=number)
            acks[number] = Ack(number, record.partition, record.offset)
            number += 1
    return Written(entries, acks)


def _entry(record: Record) -> Entry | None:
    try:
        event = decode(record.value, PackagedRegistry())
    except Poison:
        return None
    return Entry(0, event.run_id, record.value, to_plain(event))
